// A chat with a server in memory, in a time that stands still.

import { conversation, createChat, sse, type Chat, type ChatOptions, type KeyStorage, type Occasion } from "../src/index.ts";
import { Server, type Log } from "./server.ts";
import { settle, TestClock } from "./time.ts";

export class Storage implements KeyStorage {
  kept = new Map<string, string>();
  getItem = (key: string) => this.kept.get(key) ?? null;
  setItem = (key: string, value: string) => void this.kept.set(key, value);
  removeItem = (key: string) => void this.kept.delete(key);
}

/** The browser around a chat. */
export class Around {
  online = true;
  hear: Set<(occasion: Occasion) => void> = new Set();
  isOnline = () => this.online;
  listen = (hear: (occasion: Occasion) => void) => {
    this.hear.add(hear);
    return () => void this.hear.delete(hear);
  };
  tell(occasion: Occasion): void {
    for (const hear of [...this.hear]) hear(occasion);
  }
}

export interface World {
  server: Server;
  clock: TestClock;
  storage: Storage;
  around: Around;
  /** Another page with the same chat: what a reload makes. */
  open(options?: Partial<ChatOptions>): Chat;
  /** What such a page makes its chat of. */
  options(options?: Partial<ChatOptions>): ChatOptions;
}

let made = 0;

/** Conversations are kept by the server, unless `stateless`. */
export function world({ stateless = false } = {}): World {
  const server = new Server();
  const clock = new TestClock();
  const storage = new Storage();
  const around = new Around();
  const options = (more: Partial<ChatOptions> = {}): ChatOptions => ({
    id: "chat0001",
    transport: stateless
      ? sse({ api: "/v1/streams", fetch: server.fetch })
      : conversation({ api: "/v1/conversations", id: "chat0001", fetch: server.fetch }),
    model: "m",
    storage,
    clock,
    random: () => 0.5,
    newId: () => `id${String(++made).padStart(6, "0")}`,
    surroundings: around,
    ...more,
  });
  const open = (more: Partial<ChatOptions> = {}) => createChat(options(more));
  return { server, clock, storage, around, open, options };
}

/** An answer, what writes it, and what it is when it has ended. */
export const WORDS = ["The ", "Rhine 🦦", " is ", "1,230", " km ", "long."];
export const whole = (log: Log) => log.write("reasoning", { text: "hm" }).tokens(...WORDS).done();
export const COMPLETE = { text: WORDS.join(""), reasoning: "hm", outcome: "completed", state: "ended", error: null };

/** The text of what is shown last. */
export const last = (chat: Chat) => chat.getSnapshot().messages.at(-1)!;

/** Say something, and let it arrive. */
export async function say(chat: Chat, text: string): Promise<void> {
  void chat.sendMessage({ text });
  await settle();
}
