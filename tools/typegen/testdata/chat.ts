// A client of the Socket.IO door, as teams that come from Socket.IO have it.
import { io, type Socket } from "socket.io-client";
import type {
  Ack,
  Auth,
  ClientToServerEvents,
  ConnectError,
  Message,
  RoomId,
  ServerToClientEvents,
  WithAck,
} from "@confab/protocol";

type ChatSocket = Socket<ServerToClientEvents, ClientToServerEvents>;

export function connect(host: string, token: string): WithAck<ChatSocket> {
  const auth: Auth = { token };
  const socket: WithAck<ChatSocket> = io(`http://${host}:3001/chat`, { auth });
  const seen = new Map<RoomId, number>(); // the last seq of each room

  socket.on("connect", () => {
    if (socket.recovered) return;
    for (const [roomId, since] of seen) {
      socket.emit("joinRoom", { roomId, since }, (reply) => {
        if (reply.success && !reply.recovered) console.log("something is missing in", reply.roomId);
      });
    }
  });
  socket.on("connect_error", (err) => {
    const refusal = (err as ConnectError).data;
    if (refusal?.error === "TOKEN_EXPIRED") console.log("fetch a new token", refusal.ref);
  });

  socket.on("receiveMessage", (message, offset) => {
    seen.set(message.roomId, message.seq);
    show(message);
    offset satisfies string;
  });
  socket.on("userJoined", ({ username, roomId }) => console.log(username, "joined", roomId));
  socket.on("userLeft", ({ username, roomId }) => console.log(username, "left", roomId));
  socket.on("userOnline", ({ username }) => console.log(username, "is here"));
  socket.on("userTyping", ({ username, isTyping }) => console.log(username, isTyping));
  socket.on("roomUsers", ({ users, total }) => console.log(users.map((u) => u.username), total));
  socket.on("presenceUpdate", ({ status, customStatus }) => console.log(status, customStatus ?? ""));
  socket.on("gap", ({ from, to }) => console.log("lost", to - from + 1));
  socket.on("ping", () => socket.emit("heartbeat"));
  socket.on("reconnectSoon", ({ afterMs }) => console.log("reconnect in", afterMs));
  socket.on("error", (failure) => {
    switch (failure.error) {
      case "RATE_LIMITED":
        return console.log("wait", failure.retryAfterMs ?? 0);
      default:
        return console.log(failure.statusCode, failure.message, failure.event ?? "", failure.ref);
    }
  });

  // Without an ack the reply comes as an event.
  socket.emit("joinRoom", { roomId: "general" });
  socket.on("joinedRoom", ({ event, activeUsers }) => {
    event satisfies "joinedRoom";
    console.log(activeUsers.length);
  });
  socket.emit("typing", { roomId: "general", isTyping: true });
  socket.emit("getPresence");
  socket.emit("getPresence", (reply) => {
    if (reply.success) console.log(reply.presenceData[0]?.lastSeen ?? "never");
  });
  socket.emit("getPresence", { userIds: ["alice"] }, (reply) => console.log(reply.success));
  socket.emit("heartbeat", (reply) => console.log(reply.success && reply.userId));
  socket.emit("messageRead", { roomId: "general", messageId: "16-4mof0v6kp14pa" }, (reply) => {
    if (reply.success) console.log(reply.readReceipt.readAt);
  });
  return socket;
}

/** Sends until the outcome is known: the same clientMessageId is stored once. */
export async function send(socket: WithAck<ChatSocket>, roomId: RoomId, content: string): Promise<Message> {
  const clientMessageId = crypto.randomUUID();
  for (;;) {
    const reply: Ack<"sendMessage"> = await socket
      .timeout(6000)
      .emitWithAck("sendMessage", { roomId, content, clientMessageId });
    if (reply.success) return reply.message;
    if (reply.error !== "UNAVAILABLE" && reply.error !== "INTERNAL") throw new Error(reply.message);
  }
}

export async function history(socket: WithAck<ChatSocket>, roomId: RoomId): Promise<Message[]> {
  const reply = await socket.emitWithAck("getHistory", { roomId, limit: 20 });
  if (!reply.success) throw new Error(`${reply.error}: ${reply.message}`);
  return reply.messages;
}

export function typing(socket: ChatSocket, roomId: RoomId): void {
  socket.timeout(1000).emit("typing", { roomId, isTyping: true }, (err, reply) => {
    if (err) return console.log(err.message);
    if ("error" in reply) return console.log(reply.error);
    console.log(reply.event, reply.success, reply.retryAfterMs ?? 0);
  });
}

function show(m: Message): void {
  console.log(`${m.seq} ${m.author.username}: ${m.content} (${m.messageType}, ${m.createdAt})`);
}
