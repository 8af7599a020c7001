// A small client of the native protocol (subprotocol confab.v1): requests with
// replies, reconnect with backoff and jitter, resume by seq, make before break
// when the server drains. Everything the page shows comes through `on`.

const backoffMin = 500, backoffMax = 15_000, replyTimeout = 10_000;

/** 128 random bits. crypto.randomUUID is there on https and localhost only. */
export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), b => b.toString(16).padStart(2, '0')).join('');

export class Confab extends EventTarget {
  #token; #socket = null; #waiting = new Map(); #nextId = 1; #attempt = 0; #stopped = false;
  #seen = new Map();    // roomId -> seq of the last message shown, for joinRoom {since}
  #unsent = new Map();  // clientMessageId -> {data, resolve, reject}: sent again after a reconnect

  /** @param token asks for a fresh token: () => Promise<string> */
  constructor(token) { super(); this.#token = token; }

  get rooms() { return [...this.#seen.keys()]; }

  on(event, listener) { this.addEventListener(event, e => listener(e.detail)); }

  async connect() {
    this.#emit('link', this.#attempt ? 'reconnecting' : 'connecting');
    let token;
    try { token = await this.#token(); } catch (e) { return this.#retry(e.message); }
    if (this.#stopped) return;
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(`${scheme}//${location.host}/ws`, ['confab.v1', `confab.token.${token}`]);
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = m => this.#received(socket, JSON.parse(m.data));
    socket.onclose = e => this.#closed(socket, e);
  }

  /** Resolves with the reply's data, rejects with the error object. */
  request(event, data) { return this.#ask(this.#socket, event, data); }

  async join(roomId) {
    const since = this.#seen.get(roomId);
    const socket = this.#socket;
    const reply = await this.#ask(socket, 'joinRoom', since === undefined ? {roomId} : {roomId, since});
    if (since === undefined) this.#seen.set(roomId, reply.seq);
    if (this.#socket && this.#socket !== socket) await this.#rejoin(this.#socket, roomId); // moved meanwhile
    return reply;
  }

  leave(roomId) {
    this.#seen.delete(roomId);
    return this.request('leaveRoom', {roomId});
  }

  /** One id per message, kept until it is answered: a repeat is stored once. */
  send(roomId, content, clientMessageId = newId()) {
    const data = {roomId, content, clientMessageId};
    return new Promise((resolve, reject) => {
      this.#unsent.set(clientMessageId, {data, resolve, reject});
      this.#deliver(clientMessageId);
    });
  }

  async #deliver(id) {
    const {data, resolve, reject} = this.#unsent.get(id);
    try {
      const reply = await this.request('sendMessage', data);
      if (this.#unsent.delete(id)) resolve(reply);
    } catch (e) {
      // Unknown outcome: keep it, the same id goes out again.
      if (e.error === 'LOST') return;
      if (e.error === 'UNAVAILABLE' || e.error === 'INTERNAL') return setTimeout(() => this.#unsent.has(id) && this.#deliver(id), 1000);
      if (this.#unsent.delete(id)) reject(e);
    }
  }

  #ask(socket, event, data) {
    if (socket?.readyState !== WebSocket.OPEN) return Promise.reject({error: 'LOST', message: 'not connected'});
    const id = this.#nextId++;
    socket.send(JSON.stringify({id, event, data}));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject({error: 'UNAVAILABLE', message: 'no answer from the server'});
      }, replyTimeout);
      this.#waiting.set(id, {socket, resolve, reject, timer});
    });
  }

  // A connection is used when it is in every room again; until then an old one is.
  async #opened(socket) {
    const here = new Set();
    for (let missing; (missing = this.rooms.filter(roomId => !here.has(roomId))).length;) {
      await Promise.all(missing.map(roomId => this.#rejoin(socket, roomId).then(() => here.add(roomId))));
    }
    if (socket.readyState !== WebSocket.OPEN) return;
    const old = this.#socket;
    this.#socket = socket;
    if (old) old.close(1000); // make before break
    this.#attempt = 0;
    this.#emit('link', 'online');
    for (const id of this.#unsent.keys()) this.#deliver(id);
  }

  /** Joins a room where it was, as often as it takes: a room's owner may be away for some seconds. */
  async #rejoin(socket, roomId) {
    while (this.#seen.has(roomId) && socket.readyState === WebSocket.OPEN) {
      try { return await this.#ask(socket, 'joinRoom', {roomId, since: this.#seen.get(roomId)}); } catch (e) {
        if (e.error === 'LOST') return;
        this.#emit('problem', {roomId, ...e});
        if (e.error !== 'UNAVAILABLE' && e.error !== 'INTERNAL' && e.error !== 'RATE_LIMITED') return this.#seen.delete(roomId);
        await new Promise(resolve => setTimeout(resolve, e.retryAfterMs ?? 1000));
      }
    }
  }

  #received(socket, {id, event, data}) {
    if (id !== undefined) {
      const waits = this.#waiting.get(id);
      if (!waits) return;
      this.#waiting.delete(id);
      clearTimeout(waits.timer);
      return event === 'error' ? waits.reject(data) : waits.resolve(data);
    }
    switch (event) {
      case 'ping':
        return this.#ask(socket, 'heartbeat').catch(() => {});
      case 'reconnectSoon':
        return setTimeout(() => this.connect(), data.afterMs);
      case 'receiveMessage': {
        const last = this.#seen.get(data.roomId);
        if (last !== undefined && data.seq <= last) return; // both connections of a make-before-break deliver
        if (last !== undefined) this.#seen.set(data.roomId, data.seq);
        break;
      }
      case 'gap':
        if (this.#seen.has(data.roomId)) this.#seen.set(data.roomId, Math.max(this.#seen.get(data.roomId), data.to));
    }
    this.#emit(event, data);
  }

  #closed(socket, {code, reason}) {
    for (const [id, waits] of this.#waiting) {
      if (waits.socket !== socket) continue;
      this.#waiting.delete(id);
      clearTimeout(waits.timer);
      waits.reject({error: 'LOST', message: 'the connection was lost'});
    }
    if (this.#socket && socket !== this.#socket) return;
    this.#socket = null;
    if (code >= 4500 && code <= 4999) {
      this.#stopped = true;
      this.#emit('link', 'closed');
      return this.#emit('problem', {error: 'CLOSED', message: `The server closed this session: ${reason || code}.`});
    }
    this.#retry();
  }

  #retry(why) {
    if (this.#stopped) return;
    const most = Math.min(backoffMax, backoffMin * 2 ** this.#attempt++);
    this.#emit('link', 'reconnecting');
    if (why) this.#emit('problem', {error: 'UNAVAILABLE', message: why});
    setTimeout(() => this.connect(), Math.random() * most);
  }

  #emit(event, detail) { this.dispatchEvent(new CustomEvent(event, {detail})); }
}
