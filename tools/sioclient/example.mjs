// The example client of the original API, with nothing changed but the URL: connect
// with a token, join, send, type, set a presence, answer pings, hear of errors.
//   node example.mjs http://localhost:3001 TOKEN [websocket|polling]
import { io } from "socket.io-client";

const [url, token, transport] = process.argv.slice(2);
const socket = io(`${url}/chat`, { auth: { token }, ...(transport ? { transports: [transport] } : {}) });
const heard = new Map();
const hear = (event, check) => heard.set(event, new Promise((resolve, reject) =>
  socket.once(event, (data) => (check(data) ? resolve() : reject(new Error(`${event}: ${JSON.stringify(data)}`))))));

hear("joinedRoom", (d) => d.success && d.roomId === "general" && d.event === "joinedRoom");
hear("roomUsers", (d) => d.total === 1 && d.users[0].username);
hear("messageSent", (d) => d.success && d.message.content === "Hello, world!");
hear("receiveMessage", (d) => d.content === "Hello, world!" && d.author.id && d.seq === 1);
hear("typingUpdated", (d) => d.success);
hear("presenceUpdated", (d) => d.success && d.status === "away");
hear("presenceUpdate", (d) => d.status === "away");
hear("ping", (d) => d.timestamp);
hear("heartbeatResponse", (d) => d.success && d.userId);
hear("error", (d) => !d.success && d.error === "NOT_IN_ROOM" && d.statusCode === 403);

socket.on("connect", () => {
  socket.emit("joinRoom", { roomId: "general" });
});
socket.on("joinedRoom", () => {
  socket.emit("sendMessage", { content: "Hello, world!", roomId: "general" });
  socket.emit("typing", { roomId: "general", isTyping: true });
  socket.emit("updatePresence", { status: "away", customStatus: "lunch" });
  socket.emit("sendMessage", { content: "too early", roomId: "another-room" });
});
socket.on("ping", () => {
  socket.emit("heartbeat");
});
socket.on("connect_error", (err) => {
  console.error("connect_error", err.message);
  process.exit(1);
});

setTimeout(() => {
  console.error("not heard in time");
  process.exit(1);
}, 20_000);
try {
  await Promise.all(heard.values());
} catch (err) {
  console.error(err.message);
  process.exit(1);
}
socket.disconnect();
process.exit(0);
