// Does something between the server and the page hold the stream back?
//
// Seen from here, a proxy that buffers lets many tokens come in few bursts, with nothing between them. A stream that is
// not held back has a token or a few in every read.

const SAME_BURST_MS = 60; // reads closer together than this are one burst: a large burst is cut into several reads
const PAUSE_MS = 400; // silence before a burst that a stream of tokens does not have
const LARGE = 12; // tokens in a burst
const ENOUGH = 40; // tokens, before anything is said
const ALL_AT_ONCE_MS = 2000; // waited for, and then the whole answer came in one burst

/** Told of every read, it says whether the answer comes in bursts. */
export class Bursts {
  #opened = 0;
  #fresh = false;
  #last = -Infinity;
  #current = 0; // tokens in this burst
  #counted = false; // whether this burst came after a pause
  #large = 0; // bursts, and the tokens in them
  #largeTokens = 0;
  #tokens = 0;

  /** A connection opens. What was missed comes in one burst, which says nothing, unless the answer is `fresh`. */
  open(at: number, fresh: boolean): void {
    this.#opened = at;
    this.#fresh = fresh;
    this.#last = -Infinity;
    this.#current = 0;
  }

  /** `tokens` came in one read. */
  read(at: number, tokens: number): void {
    if (tokens === 0) return;
    if (at - this.#last > SAME_BURST_MS) {
      const first = this.#last === -Infinity;
      this.#counted = first ? this.#fresh && at - this.#opened >= ALL_AT_ONCE_MS : at - this.#last >= PAUSE_MS;
      this.#current = 0;
      if (first && !this.#counted && !this.#fresh) this.#current = -Infinity; // the replay: no part of the measure
    }
    this.#last = at;
    if (this.#current === -Infinity) return;
    const before = this.#current;
    this.#current += tokens;
    this.#tokens += tokens;
    if (!this.#counted || this.#current < LARGE) return;
    if (before < LARGE) this.#large += 1;
    this.#largeTokens += before < LARGE ? this.#current : tokens;
  }

  /** Did most of enough tokens come in large bursts? One burst is enough if all of a long answer was in it. */
  get buffering(): boolean {
    if (this.#tokens < ENOUGH || this.#largeTokens < this.#tokens * 0.8) return false;
    return this.#large >= 2 || (this.#fresh && this.#large === 1);
  }
}
