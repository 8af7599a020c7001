// A client of the native door.
import type {
  ClientEvent,
  CloseCode,
  FinalCode,
  ReplyFrame,
  RequestFrame,
  ServerFrame,
} from "@confab/protocol";

const final: readonly FinalCode[] = [4500, 4501, 4502, 4503, 4504];

export class Chat {
  #ws: WebSocket;
  #waiting = new Map<number, (frame: ReplyFrame) => void>();
  #id = 0;

  constructor(url: string, token: string) {
    this.#ws = new WebSocket(url, ["confab.v1", `confab.token.${token}`]);
    this.#ws.onmessage = (m) => this.#receive(JSON.parse(m.data) as ServerFrame);
    this.#ws.onclose = (e) => {
      const code = e.code as CloseCode;
      console.log(final.some((f) => f === code) ? "stay away" : "connect again");
    };
  }

  #receive(frame: ServerFrame): void {
    if (frame.id !== undefined) {
      this.#waiting.get(frame.id)?.(frame);
      this.#waiting.delete(frame.id);
      return;
    }
    switch (frame.event) {
      case "receiveMessage":
        return console.log(frame.data.seq, frame.data.content);
      case "userTyping":
        return console.log(frame.data.username, frame.data.isTyping);
      case "ping":
        return this.#write({ event: "heartbeat" });
      case "error":
        return console.log(frame.data.error, frame.data.message);
      default:
        return console.log(frame.event);
    }
  }

  #write(frame: RequestFrame): void {
    this.#ws.send(JSON.stringify(frame));
  }

  /** Sends a request and resolves to its reply. */
  ask<E extends ClientEvent>(frame: RequestFrame<E> & RequestFrame): Promise<ReplyFrame<E>> {
    const id = ++this.#id;
    return new Promise((resolve) => {
      this.#waiting.set(id, (reply) => resolve(reply as ReplyFrame<E>));
      this.#write({ ...frame, id });
    });
  }
}

export async function hello(chat: Chat): Promise<void> {
  const joined = await chat.ask<"joinRoom">({ event: "joinRoom", data: { roomId: "general", since: 0 } });
  if (joined.event === "error") return console.log(joined.data.error);
  console.log(joined.data.seq, joined.data.recovered ?? true);
  const sent = await chat.ask<"sendMessage">({
    event: "sendMessage",
    data: { roomId: "general", content: "Hello", messageType: "TEXT" },
  });
  if (sent.event === "messageSent") console.log(sent.data.message.id, sent.data.duplicate ?? false);
  await chat.ask<"getPresence">({ event: "getPresence" });
  await chat.ask<"getPresence">({ event: "getPresence", data: { userIds: [] } });
}
