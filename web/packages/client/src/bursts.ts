// Does something between the server and the page hold the stream back?
//
// Seen from here, a proxy that buffers lets many tokens come in few bursts, with nothing between them. A stream that is
// not held back has a token or a few in every read.

const BURST_MS = 100; // what comes within this time is one burst: a large one is cut into several reads
const PAUSE_MS = 400; // silence before a burst that a stream of tokens does not have
const LARGE = 12; // tokens in a burst
const ENOUGH = 40; // tokens, before anything is said
const ALL_AT_ONCE_MS = 2000; // waited for, and then the whole answer came in one burst

/** Told of every read, it says whether the answer comes in bursts. */
export class Bursts {
  #opened = 0;
  #fresh = false;
  #began = -Infinity; // this burst
  #last = -Infinity; // the last read
  #current = 0; // tokens in this burst
  #paused = false; // whether this burst came after a pause
  #measured = false; // whether this burst says anything
  #tokens = 0; // in bursts that do
  #large = 0; // bursts after a pause, and the tokens in them
  #largeTokens = 0;
  #allAtOnce = false;

  /** A connection opens. What was missed comes in one burst, which says nothing, unless the answer is `fresh`. */
  open(at: number, fresh: boolean): void {
    this.#opened = at;
    this.#fresh = fresh;
    this.#began = this.#last = -Infinity;
  }

  /** `tokens` came in one read. */
  read(at: number, tokens: number): void {
    if (tokens === 0) return;
    if (at - this.#began > BURST_MS) this.#begin(at);
    this.#last = at;
    if (!this.#measured) return;
    const before = this.#current;
    this.#current += tokens;
    this.#tokens += tokens;
    if (!this.#paused || this.#current < LARGE) return;
    if (before < LARGE) this.#large += 1;
    this.#largeTokens += before < LARGE ? this.#current : tokens;
  }

  #begin(at: number): void {
    const first = this.#last === -Infinity;
    const waited = first ? this.#fresh && at - this.#opened >= ALL_AT_ONCE_MS : at - this.#last >= PAUSE_MS;
    if (first) this.#allAtOnce = waited;
    this.#paused = waited;
    this.#measured = !first || waited;
    this.#began = at;
    this.#current = 0;
  }

  /** Did most of enough tokens come in large bursts? One burst is enough if all of a long answer was in it. */
  get buffering(): boolean {
    if (this.#tokens < ENOUGH || this.#largeTokens < this.#tokens * 0.8) return false;
    return this.#large >= 2 || this.#allAtOnce;
  }
}
