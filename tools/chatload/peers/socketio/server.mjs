// A plain Socket.IO server with what chatload -dialect socketio asks for: rooms, and
// nothing else. Its figures are what Socket.IO costs before there is an application.
import { Server } from "socket.io";

const port = Number(process.env.PORT ?? 3000);
const io = new Server(port, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

io.on("connection", (socket) => {
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack("joined");
  });
  socket.on("publish", (room, content, ack) => {
    io.to(room).emit("message", content);
    ack("published");
  });
  socket.on("echo", (ack) => ack("echo"));
});

console.log(`listening on ${port}, process ${process.pid}`);
