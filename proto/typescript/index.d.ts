// Types of the Confab client contract. Generated from the Go types in proto by
// tools/typegen: do not edit. What events mean is in proto/WEBSOCKET_API.md.

/**
 * GetHistory requests messages of a room: those before or after a seq (exclusive), or the newest.
 */
export interface GetHistory {
  roomId: RoomId;
  before?: number;
  after?: number;
  /** at least 1; 50 by default; higher values are clamped to 200 */
  limit?: number;
}

/** History answers GetHistory. */
export interface History {
  roomId: RoomId;
  /** ascending by seq */
  messages: Message[];
  /** more messages exist in the requested direction */
  hasMore: boolean;
  success: true;
}

/** GetPresence asks who is online. */
export interface GetPresence {
  /** at most 100; absent: everyone the user may see; empty: no users */
  userIds?: UserId[];
}

/** PresenceRetrieved answers GetPresence. */
export interface PresenceRetrieved {
  success: true;
  presenceData: Presence[];
  timestamp: Time;
}

/** GetRoomStats requests the statistics of a room. */
export interface GetRoomStats {
  roomId: RoomId;
}

/** RoomStatsRetrieved answers GetRoomStats. */
export interface RoomStatsRetrieved extends RoomStats {
  success: true;
}

/** HeartbeatResponse answers Heartbeat. */
export interface HeartbeatResponse {
  timestamp: Time;
  userId: UserId;
  success: true;
}

/** JoinRoom joins a room and, with since, requests all messages after that seq. */
export interface JoinRoom {
  roomId: RoomId;
  /** 0: all retained messages; absent: live messages only */
  since?: number;
}

/** JoinedRoom answers JoinRoom. */
export interface JoinedRoom {
  roomId: RoomId;
  success: true;
  /** at most 200 */
  activeUsers: UserId[];
  /** of the room's last message, 0 when it has none */
  seq: number;
  /** with since only: true if no message is missing */
  recovered?: boolean;
  timestamp: Time;
}

/** LeaveRoom leaves a room. */
export interface LeaveRoom {
  roomId: RoomId;
}

/** LeftRoom answers LeaveRoom. */
export interface LeftRoom {
  roomId: RoomId;
  success: true;
  timestamp: Time;
}

/** MessageRead marks the messages of a room as read, up to the given one. */
export interface MessageRead {
  messageId: string;
  roomId: RoomId;
}

/** MessageReadReply answers MessageRead. */
export interface MessageReadReply {
  success: true;
  readReceipt: ReadReceipt;
}

/** RefreshToken replaces the token before it expires, with one of the same user. */
export interface RefreshToken {
  token: string;
}

/** TokenRefreshed answers RefreshToken. */
export interface TokenRefreshed {
  success: true;
  expiresAt: Time;
}

/** SendMessage stores a message and delivers it to the room. */
export interface SendMessage {
  /** 1 to 2000 code points after trimming, at most 8192 bytes */
  content: string;
  roomId: RoomId;
  /** "TEXT" by default */
  messageType?: MessageType;
  clientMessageId?: ClientMessageId;
}

/** MessageSent answers SendMessage once the message is stored. */
export interface MessageSent {
  message: Message;
  success: true;
  /** the message was stored before; message is the stored one */
  duplicate?: boolean;
}

/** Typing reports that the user started or stopped typing. */
export interface Typing {
  roomId: RoomId;
  isTyping: boolean;
}

/**
 * TypingUpdated answers Typing. Over the limit success is false, nothing else happens, and
 * retryAfterMs says how long to wait.
 */
export interface TypingUpdated {
  success: boolean;
  timestamp: Time;
  /** over the limit only */
  retryAfterMs?: number;
}

/** UpdatePresence sets the user's own status. */
export interface UpdatePresence {
  status: Status;
  /** at most 128 code points after trimming; "" removes it */
  customStatus?: string;
}

/** PresenceUpdated answers UpdatePresence. */
export interface PresenceUpdated {
  success: true;
  status: Status;
  /** "" when there is none */
  customStatus: string;
  timestamp: Time;
}

/** Failure is the error object as a client gets it. */
export interface Failure {
  success: false;
  error: ErrorCode;
  /** for people */
  message: string;
  /** HTTP's */
  statusCode: number;
  timestamp: Time;
  /** with RATE_LIMITED: how long to wait before the same request */
  retryAfterMs?: number;
  /** the client event that failed, if known */
  event?: string;
  /** identifies the line in the server's log */
  ref: string;
}

/** Gap is the payload of gap: the range of missing seqs, inclusive. */
export interface Gap {
  roomId: RoomId;
  from: number;
  to: number;
}

/** MessageReadUpdate is the payload of messageReadUpdate. */
export interface MessageReadUpdate {
  roomId: RoomId;
  userId: UserId;
  username: string;
  messageId: string;
  seq: number;
  timestamp: Time;
}

/** Ping is the payload of ping. */
export interface Ping {
  timestamp: Time;
}

/** PresenceUpdate is the payload of presenceUpdate. */
export interface PresenceUpdate {
  userId: UserId;
  username: string;
  status: Status;
  customStatus?: string;
  timestamp: Time;
}

/** Message is a stored message as clients see it. */
export interface Message {
  /** opaque */
  id: string;
  content: string;
  author: Author;
  roomId: RoomId;
  messageType: MessageType;
  /** the message's place in its room: 1, 2, 3 ... without holes */
  seq: number;
  timestamp: Time;
  createdAt: Time;
  updatedAt: Time;
}

/**
 * ReconnectSoon is the payload of reconnectSoon: open a new connection after afterMs, then close
 * this one.
 */
export interface ReconnectSoon {
  reason: string;
  afterMs: number;
}

/** RoomStats is the payload of roomStats. */
export interface RoomStats {
  roomId: RoomId;
  /** all of them */
  userCount: number;
  /** at most 200 */
  users: User[];
  typingUsers: UserId[];
  /** null when unknown */
  createdAt: Time | null;
  /** null when unknown */
  lastActivity: Time | null;
  timestamp: Time;
}

/** RoomUsers is the payload of roomUsers. */
export interface RoomUsers {
  roomId: RoomId;
  /** at most 200 */
  users: User[];
  /** all of them */
  total: number;
}

/** MemberChange is the payload of userJoined and userLeft. */
export interface MemberChange {
  userId: UserId;
  username: string;
  roomId: RoomId;
  timestamp: Time;
}

/** OnlineChange is the payload of userOnline and userOffline. */
export interface OnlineChange {
  userId: UserId;
  username: string;
  timestamp: Time;
}

/** UserTyping is the payload of userTyping. */
export interface UserTyping {
  userId: UserId;
  username: string;
  roomId: RoomId;
  isTyping: boolean;
  timestamp: Time;
}

/** RoomId names a room: 1 to 64 characters of A-Z a-z 0-9 _ - . : /. */
export type RoomId = string;

/** UserId is the sub of the user's token: 1 to 128 bytes of visible characters. */
export type UserId = string;

/** Presence is the presence of a user. The name of a user who was never seen is empty. */
export interface Presence extends User {
  status: SeenStatus;
  customStatus?: string;
  isOnline: boolean;
  /** null when never seen */
  lastSeen: Time | null;
}

/**
 * Time is a point in time. Clients see ISO 8601 in UTC with milliseconds: 2026-01-02T03:04:05.678Z.
 */
export type Time = string;

/** ReadReceipt records who read which message, and when. */
export interface ReadReceipt {
  messageId: string;
  userId: UserId;
  username: string;
  seq: number;
  readAt: Time;
}

/** MessageType is the kind of a message's content. */
export type MessageType =
  /** the default */
  | "TEXT"
  | "IMAGE"
  | "FILE";

/**
 * ClientMessageId is the sender's own name of a message: 1 to 64 visible ASCII characters. The same
 * one from the same user in the same room is one message, however often it is sent.
 */
export type ClientMessageId = string;

/** Status is the status that a user sets. */
export type Status =
  | "online"
  | "away"
  | "busy";

/** Author is the author of a message. */
export interface Author {
  id: UserId;
  username: string;
}

/** User is a user as others see them. */
export interface User {
  userId: UserId;
  username: string;
}

/** SeenStatus is the status that others see: the user's own, or "offline". */
export type SeenStatus =
  | Status
  /** has no connection */
  | "offline";

/** What went wrong: `error` of a {@link Failure}. More may be added: have a default. */
export type ErrorCode =
  /**
   * 400: input that can never succeed as it is: unknown event, missing or wrong field, text too
   * long. Repeating it is pointless.
   */
  | "BAD_REQUEST"
  /** 401: a missing or unusable token. */
  | "UNAUTHORIZED"
  /** 401: a token that was good once; a fresh one helps. */
  | "TOKEN_EXPIRED"
  /** 403: an act that this user or connection may not do. */
  | "FORBIDDEN"
  /** 403: an act in a room that this connection has not joined. */
  | "NOT_IN_ROOM"
  /** 404: a thing named by the client that does not exist. */
  | "NOT_FOUND"
  /** 409: a clientMessageId that was used for other content. */
  | "CONFLICT"
  /** 413: a body over the size limit. */
  | "PAYLOAD_TOO_LARGE"
  /** 429: an act over the user's limit; the error says when it is allowed again. */
  | "RATE_LIMITED"
  /** 500: a fault of ours. Its outcome is unknown to the client. */
  | "INTERNAL"
  /**
   * 503: a dependency that is away. Its outcome is unknown; repeating with the same clientMessageId
   * is safe.
   */
  | "UNAVAILABLE";

/** WebSocket close codes after which a client connects again. */
export type ReconnectCode =
  /** bye */
  | 1000
  /** going away */
  | 1001
  /** protocol error */
  | 1002
  /** unsupported data */
  | 1003
  /** invalid payload */
  | 1007
  /** policy violation */
  | 1008
  /** message too big */
  | 1009
  /** internal error */
  | 1011
  /** restart: this edge drains or restarts */
  | 1012
  /** slow consumer: the client read too slowly */
  | 4000
  /** token expired */
  | 4001
  /** heartbeat timeout */
  | 4002
  /** state lost */
  | 4004;

/** WebSocket close codes after which a client does not connect again. */
export type FinalCode =
  /** invalid token */
  | 4500
  /** auth required */
  | 4501
  /** revoked */
  | 4502
  /** protocol abuse */
  | 4503
  /** connection limit */
  | 4504;

export type CloseCode = ReconnectCode | FinalCode;

/** Client events, with what `emit` takes behind the name. */
export interface Requests {
  /** Requests messages of a room: those before or after a seq (exclusive), or the newest. */
  getHistory: [payload: GetHistory];
  /** Asks who is online. */
  getPresence: [] | [payload: GetPresence];
  /** Requests the statistics of a room. */
  getRoomStats: [payload: GetRoomStats];
  /** Reports that the client is alive. */
  heartbeat: [];
  /** Joins a room and, with since, requests all messages after that seq. */
  joinRoom: [payload: JoinRoom];
  /** Leaves a room. */
  leaveRoom: [payload: LeaveRoom];
  /** Marks the messages of a room as read, up to the given one. */
  messageRead: [payload: MessageRead];
  /** Replaces the token before it expires, with one of the same user. */
  refreshToken: [payload: RefreshToken];
  /** Stores a message and delivers it to the room. */
  sendMessage: [payload: SendMessage];
  /** Reports that the user started or stopped typing. */
  typing: [payload: Typing];
  /** Sets the user's own status. */
  updatePresence: [payload: UpdatePresence];
}

/** Client events, with the name of what answers them. */
export interface ReplyNames {
  getHistory: "history";
  getPresence: "presenceRetrieved";
  getRoomStats: "roomStatsRetrieved";
  heartbeat: "heartbeatResponse";
  joinRoom: "joinedRoom";
  leaveRoom: "leftRoom";
  messageRead: "messageRead";
  refreshToken: "tokenRefreshed";
  sendMessage: "messageSent";
  typing: "typingUpdated";
  updatePresence: "presenceUpdated";
}

/** What answers client events, by its name. */
export interface Replies {
  /** History answers GetHistory. */
  history: History;
  /** PresenceRetrieved answers GetPresence. */
  presenceRetrieved: PresenceRetrieved;
  /** RoomStatsRetrieved answers GetRoomStats. */
  roomStatsRetrieved: RoomStatsRetrieved;
  /** HeartbeatResponse answers Heartbeat. */
  heartbeatResponse: HeartbeatResponse;
  /** JoinedRoom answers JoinRoom. */
  joinedRoom: JoinedRoom;
  /** LeftRoom answers LeaveRoom. */
  leftRoom: LeftRoom;
  /** MessageReadReply answers MessageRead. */
  messageRead: MessageReadReply;
  /** TokenRefreshed answers RefreshToken. */
  tokenRefreshed: TokenRefreshed;
  /** MessageSent answers SendMessage once the message is stored. */
  messageSent: MessageSent;
  /**
   * TypingUpdated answers Typing. Over the limit success is false, nothing else happens, and
   * retryAfterMs says how long to wait.
   */
  typingUpdated: TypingUpdated;
  /** PresenceUpdated answers UpdatePresence. */
  presenceUpdated: PresenceUpdated;
}

/** Server events, with their payloads. */
export interface ServerEvents {
  /** When a request without an id failed, or before the connection is closed for good. */
  error: Failure;
  /** When messages cannot be delivered because they are no longer retained. */
  gap: Gap;
  /** When a user has read a message, in rooms of up to 200 members; several are merged into one. */
  messageReadUpdate: MessageReadUpdate;
  /** Every heartbeat interval (30 s); answering with heartbeat is optional. */
  ping: Ping;
  /** When a user sets their status; your own connections get it too. */
  presenceUpdate: PresenceUpdate;
  /**
   * When a message was stored in a room that this connection has joined, your own messages
   * included.
   */
  receiveMessage: Message;
  /** When this server shuts down: open a new connection after afterMs, then close this one. */
  reconnectSoon: ReconnectSoon;
  /** After the reply to getRoomStats, to the connection that asked. */
  roomStats: RoomStats;
  /**
   * After joining; in rooms of more than 200 members also when the number changes, at most once a
   * second.
   */
  roomUsers: RoomUsers;
  /** When another user's first connection has joined the room. */
  userJoined: MemberChange;
  /** When another user's last connection has left the room. */
  userLeft: MemberChange;
  /** When another user's last connection has closed. */
  userOffline: OnlineChange;
  /** When another user's first connection has opened. */
  userOnline: OnlineChange;
  /**
   * When another user starts or stops typing; it stops 5 s after the last typing, on send and on
   * leave.
   */
  userTyping: UserTyping;
}

/** Name of a client event. */
export type ClientEvent = keyof Requests;

/** Name of a server event. */
export type ServerEvent = keyof ServerEvents;

// ---- Socket.IO ----

/** `auth` of socket.io-client's options. */
export interface Auth {
  /** A JWT. */
  token: string;
}

/** What `connect_error` gets when the server has refused: its `message`, and the error object. */
export interface ConnectError extends Error {
  data: Failure;
}

/** A reply as an acknowledgement, or the event in its place, carries it: with its name. */
export type Named<R extends keyof Replies> = { event: R } & Replies[R];

/**
 * What the acknowledgement of a client event gets. `'error' in ack` tells a failure from a reply,
 * and so does `ack.success`, except for `typing`.
 */
export type Ack<E extends ClientEvent> = Named<ReplyNames[E]> | Failure;

type Emit<A extends unknown[], R> = (...args: A | [...A, ack: (reply: R) => void]) => void;

/** Client events for `Socket<ServerToClientEvents, ClientToServerEvents>`, each with or without ack. */
export type ClientToServerEvents = { [E in keyof Requests]: Emit<Requests[E], Ack<E>> };

/**
 * Server events, and the replies to events that were emitted without ack.
 *
 * `offset` is for the client's connection state recovery, which keeps it by itself.
 */
export type ServerToClientEvents = {
  [E in keyof ServerEvents]: E extends "receiveMessage"
    ? (message: ServerEvents[E], offset: string) => void
    : (payload: ServerEvents[E]) => void;
} & {
  [R in keyof Replies]: (reply: Named<R>) => void;
};

/** `emitWithAck` with its types. */
export interface EmitWithAck {
  emitWithAck<E extends ClientEvent>(event: E, ...args: Requests[E]): Promise<Ack<E>>;
}

/**
 * A socket that knows what `emitWithAck` resolves to, also behind `timeout`: socket.io-client takes
 * it from an ack that must be given, and ours need not.
 *
 *     const socket: WithAck<Socket<ServerToClientEvents, ClientToServerEvents>> = io(url);
 */
export type WithAck<S extends { timeout(ms: number): unknown }> = EmitWithAck & {
  timeout(ms: number): EmitWithAck & ReturnType<S["timeout"]>;
} & S;

// ---- Native frames, JSON text messages of the WebSocket subprotocol confab.v1 ----

type Data<A extends unknown[]> = A extends [infer P] ? { data: P } : { data?: undefined };

/**
 * What a client sends. `id`, from 0 to 2^53-1, asks for a reply; without it there is none, and a
 * failure comes as an `error` event.
 */
export type RequestFrame<E extends ClientEvent = ClientEvent> = {
  [K in E]: { id?: number; event: K } & Data<Requests[K]>;
}[E];

/** What answers a request with an `id`. */
export type ReplyFrame<E extends ClientEvent = ClientEvent> =
  | { [K in E]: { id: number; event: ReplyNames[K]; data: Replies[ReplyNames[K]] } }[E]
  | { id: number; event: "error"; data: Failure };

/** What the server sends by itself. */
export type EventFrame<E extends ServerEvent = ServerEvent> = {
  [K in E]: { id?: undefined; event: K; data: ServerEvents[K] };
}[E];

/** All that a client receives: a reply when it has an `id`, else an event. */
export type ServerFrame = ReplyFrame | EventFrame;

export {}; // what is not marked as exported is not
