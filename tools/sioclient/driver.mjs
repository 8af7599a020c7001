// Runs unmodified Socket.IO clients for a Go test: commands come as lines of JSON on
// stdin, what happens goes as lines of JSON to stdout. It ends with stdin.
import { createInterface } from "node:readline";

const { io } = await import(process.argv[2]);
const sockets = new Map();
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const commands = {
  // open connects; opts are the library's own.
  open({ id, url, opts }) {
    const socket = io(url, { reconnectionDelay: 50, reconnectionDelayMax: 200, timeout: 5000, forceNew: true, ...opts });
    sockets.set(id, socket);
    socket.on("connect", () => {
      tell({ id, event: "connect", args: [{ recovered: Boolean(socket.recovered), transport: socket.io.engine.transport.name }] });
    });
    socket.io.on("open", () => { // the change of transports may come before the namespace is joined
      socket.io.engine.on("upgrade", (transport) => tell({ id, event: "upgrade", args: [{ transport: transport.name }] }));
    });
    socket.on("disconnect", (reason) => tell({ id, event: "disconnect", args: [{ reason }] }));
    socket.on("connect_error", (err) => tell({ id, event: "connect_error", args: [{ message: err.message, data: err.data ?? null }] }));
    socket.onAny((event, ...args) => tell({ id, event, args }));
  },
  emit({ id, event, args, ack }) {
    const done = ack ? [(...reply) => tell({ id, ack, args: reply })] : [];
    sockets.get(id).emit(event, ...args, ...done);
  },
  disconnect({ id }) {
    sockets.get(id).disconnect();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...rest } = JSON.parse(line);
  commands[command](rest);
}
process.exit(0);
