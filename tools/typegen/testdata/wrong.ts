// What must not compile: each line behind a mark has an error, or the mark is one.
import type { Socket } from "socket.io-client";
import type {
  ClientToServerEvents,
  CloseCode,
  ErrorCode,
  EventFrame,
  ReplyFrame,
  RequestFrame,
  ServerToClientEvents,
  WithAck,
} from "@confab/protocol";

declare const plain: Socket<ServerToClientEvents, ClientToServerEvents>;
declare const socket: WithAck<typeof plain>;

// @ts-expect-error: no such event
plain.emit("joinRooom", { roomId: "general" });
// @ts-expect-error: no payload
plain.emit("joinRoom");
// @ts-expect-error: no roomId
plain.emit("joinRoom", {});
// @ts-expect-error: a number
plain.emit("joinRoom", { roomId: 7 });
// @ts-expect-error: a name that is misspelt
plain.emit("joinRoom", { roomId: "general", sinc: 7 });
// @ts-expect-error: the name of another time
plain.emit("sendMessage", { roomId: "general", text: "Hello" });
// @ts-expect-error: no such type of message
plain.emit("sendMessage", { roomId: "general", content: "Hello", messageType: "text" });
// @ts-expect-error: isTyping is missing
plain.emit("typing", { roomId: "general" });
// @ts-expect-error: others see it, nobody says it
plain.emit("updatePresence", { status: "offline" });
// @ts-expect-error: one id is no list
plain.emit("getPresence", { userIds: "alice" });
// @ts-expect-error: no payload there
plain.emit("heartbeat", { at: 1 });
// @ts-expect-error: a failure has no seq
plain.emit("joinRoom", { roomId: "general" }, (reply) => reply.seq);
// @ts-expect-error: a joinedRoom has no such member
plain.emit("joinRoom", { roomId: "general" }, (reply) => reply.success && reply.message);
// @ts-expect-error: an error comes first behind timeout
plain.timeout(1).emit("joinRoom", { roomId: "general" }, (reply: ReplyFrame) => reply);
// @ts-expect-error: no such event
plain.on("message", () => {});
// @ts-expect-error: no such member
plain.on("receiveMessage", (message) => message.text);
// @ts-expect-error: the offset is a string
plain.on("receiveMessage", (_, offset: number) => offset);
// @ts-expect-error: one argument
plain.on("userJoined", (_, offset) => offset);
// @ts-expect-error: may be null
plain.on("roomStats", (stats) => stats.createdAt.length);
// @ts-expect-error: no content
socket.emitWithAck("sendMessage", { roomId: "general" });
// @ts-expect-error: may be a failure
socket.emitWithAck("sendMessage", { roomId: "general", content: "x" }).then((r) => r.message.seq);
// @ts-expect-error: may be a failure
socket.timeout(1).emitWithAck("getHistory", { roomId: "general" }).then((r) => r.messages);

// @ts-expect-error: the payload of another event
export const request: RequestFrame = { id: 1, event: "joinRoom", data: { content: "x" } };
// @ts-expect-error: no data
export const empty: RequestFrame = { id: 1, event: "leaveRoom" };
// @ts-expect-error: data there is none
export const full: RequestFrame = { event: "heartbeat", data: {} };
// @ts-expect-error: the reply to something else
export const reply: ReplyFrame<"joinRoom"> = { id: 1, event: "leftRoom", data: { roomId: "r", success: true, timestamp: "" } };
// @ts-expect-error: events have no id
export const event: EventFrame = { id: 1, event: "ping", data: { timestamp: "" } };
// @ts-expect-error: a time is a string
export const ping: EventFrame = { event: "ping", data: { timestamp: 1767323045678 } };
// @ts-expect-error: lower case
export const code: ErrorCode = "bad_request";
// @ts-expect-error: not ours
export const close: CloseCode = 4505;
