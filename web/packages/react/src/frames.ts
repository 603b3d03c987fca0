// Publishing at most once per frame: however many tokens come, React renders once for all of them.

import type { Chat, Snapshot } from "@penstock/client";

/** When to publish. The browser's frames, or a test's. */
export interface Frames {
  /** Call before the next frame. Returns how to call it off. */
  frame(call: () => void): () => void;
  /** Call after so many milliseconds. Returns how to call it off. */
  after(milliseconds: number, call: () => void): () => void;
}

/** The frames of this page. */
export const pageFrames: Frames = {
  frame(call) {
    if (typeof requestAnimationFrame === "undefined") return () => {};
    const handle = requestAnimationFrame(call);
    return () => cancelAnimationFrame(handle);
  },
  after(milliseconds, call) {
    const timer = setTimeout(call, milliseconds);
    return () => clearTimeout(timer);
  },
};

const WITHOUT_FRAMES_MS = 250; // a tab in the background has none

/** A chat, as its snapshots are published. All components of a page that show it share one. */
export class Paced {
  #chat: Chat;
  #frames: Frames;
  #listeners = new Set<() => void>();
  #published: Snapshot | null = null;
  #unsubscribe: (() => void) | null = null;
  #callOff: (() => void) | null = null;
  #mounted = 0;

  constructor(chat: Chat, frames: Frames) {
    this.#chat = chat;
    this.#frames = frames;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#unsubscribe === null) {
      this.#published = this.#chat.getSnapshot();
      this.#unsubscribe = this.#chat.subscribe((change) => (change === "end" ? this.#publish() : this.#soon()));
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#unsubscribe?.();
      this.#unsubscribe = this.#published = null;
      this.#callOff?.();
      this.#callOff = null;
    };
  };

  /** The snapshot that was published last. What is not published was not seen, so Stop does not keep it. */
  getSnapshot = (): Snapshot => this.#published ?? this.#chat.getSnapshot();

  /** A component shows the chat. Returns what to do when it no longer does: the last one detaches. */
  mount(): () => void {
    this.#mounted += 1;
    return () => {
      this.#mounted -= 1;
      // StrictMode, and a page that replaces one view of the chat by another, mount again at once.
      queueMicrotask(() => {
        if (this.#mounted === 0) this.#chat.detach();
      });
    };
  }

  #soon(): void {
    if (this.#callOff) return;
    const publish = () => this.#publish();
    const frame = this.#frames.frame(publish);
    const timer = this.#frames.after(WITHOUT_FRAMES_MS, publish);
    this.#callOff = () => {
      frame();
      timer();
    };
  }

  #publish(): void {
    this.#callOff?.();
    this.#callOff = null;
    const snapshot = this.#chat.getSnapshot();
    if (snapshot === this.#published) return;
    this.#published = snapshot;
    for (const listener of [...this.#listeners]) listener();
  }
}

const known = new WeakMap<Chat, Paced>();

/** The paced store of a chat. `frames` counts for the first who asks. */
export function paced(chat: Chat, frames: Frames = pageFrames): Paced {
  let found = known.get(chat);
  if (!found) known.set(chat, (found = new Paced(chat, frames)));
  return found;
}
