// Time, passed in: tests move it by hand.

/** What a chat needs of time. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Call once after so many milliseconds. Returns how to call it off. */
  after(milliseconds: number, call: () => void): () => void;
}

/** The time of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, call) {
    const timer = setTimeout(call, milliseconds);
    return () => clearTimeout(timer);
  },
};
