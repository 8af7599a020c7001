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
