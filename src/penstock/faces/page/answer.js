// One answer, followed to its end: asked for once, then read from its log, whatever happens to the connection.
//
// The rules: the question is sent again by itself only until the server has accepted it, with the same idempotency key;
// afterwards this only ever attaches. Every failure that the person did not cause leads to another attach. A block is
// taken if its position lies after the last one taken, so nothing is doubled; only `done` or `error` ends an answer.

import { isAfter, parsePosition } from "/static/position.js";
import { SseReader } from "/static/sse.js";

const SILENCE = 30_000; // no byte for this long, keepalives included: the connection is dead, whatever it says
const DOUBTFUL = 20_000; // silent for longer than a keepalive takes: not trusted after the page was away
const LONGEST_PAUSE = 15_000;
const MOST_UNANSWERED = 8; // attempts to ask before the server has accepted
const MOST_WAITS = 3; // times to wait because the server said so

/** A new answer's record: plain data, all that is stored of it. */
export function newRecord(model, known = {}) {
  return {
    role: "assistant", id: randomId(), key: randomId(), model, at: Date.now(), asked: Date.now(), stream: null,
    position: null, offset: 0, text: "", reasoning: "", refusal: "", calls: [], pieces: 0, thoughts: 0,
    firstAt: null, thoughtAt: null, lastAt: null, endedAt: null, outcome: null, error: null, usage: null, ...known,
  };
}

export function randomId() {
  // crypto.randomUUID is there only on https and localhost; this is everywhere.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Answer {
  /** How the connection is: sending, attaching, live, reconnecting, waiting (as long as the server said), idle. */
  phase = "idle";
  attempt = 0;
  pausedUntil = 0;
  /** Times that the answer was attached to again. */
  reattached = 0;

  #api;
  #seen;
  #cut = null;
  #wake = null;
  #lastByte = 0;
  #stopping = false;
  #detached = false;
  #lengths = new Map(); // offset -> what was there after it, to go back when someone stopped the answer earlier

  /**
   * @param {ReturnType<typeof newRecord>} record
   * @param {{fetch: typeof fetch, onChange: (answer: Answer) => void}} api
   */
  constructor(record, api) {
    this.record = record;
    this.#api = api;
    this.#seen = parsePosition(record.position);
  }

  get ended() {
    return this.record.outcome !== null;
  }

  get following() {
    return this.phase !== "idle";
  }

  get silentFor() {
    return Date.now() - this.#lastByte;
  }

  /** Follow to the end. `question` is what to ask, while the server has not accepted it. */
  async follow(question) {
    if (this.ended || this.following) return;
    this.#detached = false;
    this.attempt = 0;
    let waits = 0;
    const watch = setInterval(() => this.#tick(), 500);
    while (!this.ended && !this.#detached) {
      if (!this.attempt) this.#set(this.record.stream ? "attaching" : "sending");
      let wait;
      try {
        wait = await this.#attach(question);
      } catch {
        // The connection failed: fetch and read throw whatever the browser likes. The loop attaches again.
      }
      if (this.ended || this.#detached || (this.#stopping && !this.record.stream)) break;
      if (wait === undefined) {
        this.attempt += 1;
        wait = Math.min(LONGEST_PAUSE, 250 * 2 ** this.attempt) * (0.5 + Math.random() / 2);
        if (!this.record.stream && this.attempt > MOST_UNANSWERED) {
          this.#fail("unreachable", "The server could not be reached.", true);
          break;
        }
        this.pausedUntil = Date.now() + wait;
        this.#set("reconnecting");
      } else {
        waits += 1;
        if (waits > MOST_WAITS) {
          this.#fail("rate_limited", "The server keeps asking to wait.", true);
          break;
        }
        this.pausedUntil = Date.now() + wait;
        this.#set("waiting");
      }
      await this.#pause(wait);
    }
    clearInterval(watch);
    if (this.#stopping && !this.ended) this.#finish("cancelled");
    this.#set("idle");
  }

  /** The network or the page came back: look now instead of later. */
  check() {
    if (this.#wake) this.#wake();
    else if (this.following && this.silentFor > DOUBTFUL) this.#cut?.abort();
  }

  /** Stop at what is shown: for every reader, and for the model. */
  stop() {
    if (this.ended || this.#stopping) return;
    this.#stopping = true;
    if (this.record.stream) {
      this.#finish("cancelled");
      this.#cut?.abort();
      this.#cancel();
    } // Otherwise it is cancelled as soon as the server says what to cancel.
    this.#wake?.();
    this.#api.onChange(this);
  }

  /** Leave the answer to itself. */
  detach() {
    this.#detached = true;
    this.#cut?.abort();
    this.#wake?.();
  }

  /** Ask or attach once, and read to the connection's end. Returns milliseconds to wait if the server said so. */
  async #attach(question) {
    const { record } = this;
    const cut = new AbortController();
    this.#cut = cut;
    this.#lastByte = Date.now();
    try {
      const response = record.stream
        ? await this.#api.fetch(`/v1/streams/${encodeURIComponent(record.stream)}`, {
            headers: { accept: "text/event-stream", ...(record.position && { "last-event-id": record.position }) },
            cache: "no-store",
            signal: cut.signal,
          })
        : await this.#api.fetch("/v1/streams", {
            method: "POST",
            headers: { accept: "text/event-stream", "content-type": "application/json", "idempotency-key": record.key },
            body: JSON.stringify(question),
            signal: cut.signal,
          });
      if (response.status === 204) return void this.#finish("ended");
      if (!response.ok) return await this.#refused(response);
      record.stream ??= response.headers.get("penstock-stream-id");
      if (this.#stopping) {
        this.#finish("cancelled");
        this.#cancel();
        return undefined;
      }
      await this.#read(response.body.getReader());
    } finally {
      cut.abort();
      this.#cut = null;
    }
    return undefined;
  }

  async #read(reader) {
    const sse = new SseReader((block) => this.#take(block));
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.ended) return;
      this.#lastByte = Date.now();
      sse.feed(value);
      if (this.phase !== "live") {
        if (this.phase === "reconnecting") this.reattached += 1;
        this.attempt = 0;
        this.#set("live");
      }
      this.#api.onChange(this);
    }
  }

  async #refused(response) {
    const said = await response.json().then((body) => body?.error, () => null);
    const seconds = Number.parseFloat(response.headers.get("retry-after") ?? "");
    const busy = response.status === 429 || response.status === 503;
    if (busy && seconds >= 0 && seconds <= 120) return Math.max(seconds, 0.5) * 1000;
    // Between the page and the server something is in the way; while attached that passes, or the log's time runs out.
    if (this.record.stream && response.status >= 500) throw new Error(String(response.status));
    const code = said?.code ?? `http_${response.status}`;
    const gone = this.record.stream && (response.status === 404 || response.status === 410);
    const message = gone
      ? "The server no longer keeps this answer. What arrived before stays here."
      : (said?.message ?? `The server answered ${response.status}.`);
    this.#fail(code, message, said?.retryable ?? response.status >= 500);
    return undefined;
  }

  #take(block) {
    if (this.ended) return;
    const { record } = this;
    const position = parsePosition(block.id);
    if (position) {
      if (this.#seen && position.epoch !== this.#seen.epoch) this.#forget();
      else if (this.#seen && !isAfter(position, this.#seen)) return;
      this.#seen = position;
      record.position = block.id;
      record.offset = position.offset;
    }
    let data;
    try {
      data = JSON.parse(block.data);
    } catch {
      return; // not ours: the position counts, the words do not
    }
    this.#event(block.name, data);
    if (position) this.#lengths.set(position.offset, [record.text.length, record.reasoning.length]);
  }

  #event(name, data) {
    const { record } = this;
    if (name === "tool_call" ? data.choice : data.index) return; // other choices are not shown here
    const now = Date.now();
    switch (name) {
      case "start":
        record.stream ??= data.stream;
        record.model = data.model ?? record.model;
        break;
      case "reasoning":
        record.thoughtAt ??= now;
        record.thoughts += 1;
        record.reasoning += data.text;
        break;
      case "refusal":
      case "token":
        record.firstAt ??= now;
        record.lastAt = now;
        record.pieces += 1;
        record.text += data.text;
        break;
      case "tool_call": {
        record.firstAt ??= now;
        const call = (record.calls[data.index] ??= { name: "", arguments: "" });
        call.name = data.name ?? call.name;
        call.arguments += data.arguments ?? "";
        break;
      }
      case "usage":
        record.usage = data;
        break;
      case "error":
        this.#fail(data.code, data.message, data.retryable, data.outcome);
        break;
      case "done":
        if (data.outcome === "cancelled" && data.kept != null) this.#goBack(data.kept);
        this.#finish(data.outcome);
        break;
    }
  }

  /** The log that the position belonged to is gone: what follows is another one, from its beginning. */
  #forget() {
    Object.assign(this.record, { text: "", reasoning: "", calls: [], pieces: 0, thoughts: 0 });
    this.#lengths.clear();
  }

  /** Somebody stopped the answer at what they had seen; the answer is the text up to there, for every reader. */
  #goBack(offset) {
    for (let at = offset; at > 0; at--) {
      const lengths = this.#lengths.get(at);
      if (!lengths) continue;
      this.record.text = this.record.text.slice(0, lengths[0]);
      this.record.reasoning = this.record.reasoning.slice(0, lengths[1]);
      return;
    }
  }

  async #cancel() {
    for (let attempt = 0; attempt < 6; attempt++) {
      try {
        const path = `/v1/streams/${encodeURIComponent(this.record.stream)}/cancel`;
        const body = JSON.stringify({ seen: this.record.offset });
        const headers = { "content-type": "application/json" };
        const response = await this.#api.fetch(path, { method: "POST", headers, body, keepalive: true });
        if (response.status < 500) return;
      } catch {
        // Cancelling is idempotent: try again.
      }
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }

  #fail(code, message, retryable, outcome) {
    this.record.error = { code, message, retryable: Boolean(retryable) };
    this.#finish(outcome ?? code);
  }

  #finish(outcome) {
    this.record.outcome = outcome;
    this.record.endedAt = Date.now();
    this.#lengths.clear();
    this.#api.onChange(this);
  }

  #tick() {
    if (this.#cut && this.silentFor > SILENCE) this.#cut.abort();
    this.#api.onChange(this); // the words about the connection count seconds
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    }).finally(() => {
      this.#wake = null;
    });
  }

  #set(phase) {
    this.phase = phase;
    this.#api.onChange(this);
  }
}
