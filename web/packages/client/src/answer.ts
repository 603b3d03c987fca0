// What is known of one answer: it takes the blocks of its log, each once, and becomes a message when it is looked at.

import type { ErrorInfo } from "./errors.ts";
import { parseEvent, type NativeEvent, type Usage } from "./events.ts";
import { messageOf, type Message, type Phase, type StoredMessage, type Timing, type ToolCall } from "./messages.ts";
import { isAfter, parsePosition, type Position } from "./position.ts";
import type { Block } from "./sse.ts";

/** What a block did: nothing new, something, an end for this reader alone, or the answer's end. */
export type Taken = "known" | "new" | "lost" | "end";

interface Call {
  id: string;
  name: string;
  arguments: string;
}

/** What was in the last message that was made: what a person has seen when they press Stop. */
interface Shown {
  readonly offset: number | null;
  readonly text: number;
  readonly reasoning: number;
  readonly calls: readonly ToolCall[];
}

/** Text grows by `+=`, which copies nothing; a message is made only when somebody looks. */
export class Answer {
  readonly id: string;
  readonly parent: string | null;
  readonly created: number;
  model: string | null;
  stream: string | null = null;
  /** The position of the last block that was taken, as it came. */
  position: string | null = null;
  outcome: string | null = null;
  error: ErrorInfo | null = null;
  /** Whether the end was told by the server, and not found here. */
  final = false;
  /** Whether anything of it has come. */
  begun = false;
  /** When it was asked for, and when something to be shown came last. */
  askedAt: number;
  progressAt: number;

  #text = "";
  #reasoning = "";
  #calls: Call[] = [];
  #usage: Usage | null = null;
  #tokens = 0;
  #firstAt: number | null = null;
  #lastAt = 0;
  #endedAt = 0;
  #timing: Timing | null = null;
  #watched = true; // from its beginning: only then is it known when its words came
  #seen: Position | null = null;
  #again = false; // the next block begins the log anew
  #joined = false; // its beginning was taken over as a whole
  #message: Message | null = null;
  #shown: Shown | null = null;
  // After each offset, how much there was: somebody may stop the answer at what they had seen. Three columns.
  #offsets: number[] = [];
  #textLengths: number[] = [];
  #reasoningLengths: number[] = [];

  constructor(known: { id: string; parent: string | null; model: string | null; created: number }, now: number) {
    this.id = known.id;
    this.parent = known.parent;
    this.model = known.model;
    this.created = known.created;
    this.askedAt = this.progressAt = now;
  }

  get ended(): boolean {
    return this.outcome !== null;
  }

  /** Up to where it has come; null if there is something, and nobody knows. */
  get offset(): number | null {
    return this.#seen?.offset ?? (this.#text || this.#reasoning || this.#calls.length > 0 ? null : 0);
  }

  get phase(): Phase {
    if (this.ended) return "formatted";
    return this.#text || this.#calls.length > 0 ? "streaming" : "thinking";
  }

  /** The message as of now; the same object as before if nothing has changed. */
  message(): Message {
    if (this.#message) return this.#message;
    const toolCalls = this.#calls.map((call) => ({ ...call }));
    this.#message = {
      id: this.id,
      parent: this.parent,
      role: "assistant",
      created: this.created,
      text: this.#text,
      model: this.model,
      reasoning: this.#reasoning,
      toolCalls,
      stream: this.stream,
      state: this.ended ? "ended" : "streaming",
      phase: this.phase,
      outcome: this.outcome,
      error: this.error,
      usage: this.#usage,
      timing: this.timing(),
    };
    this.#shown = {
      offset: this.offset, text: this.#text.length, reasoning: this.#reasoning.length, calls: toolCalls,
    };
    return this.#message;
  }

  timing(): Timing | null {
    if (this.#timing) return this.#timing;
    if (this.#firstAt === null || !this.#watched) return null;
    const seconds = (this.#lastAt - this.#firstAt) / 1000;
    return {
      ttftMs: this.#firstAt - this.askedAt,
      totalMs: this.ended ? this.#endedAt - this.askedAt : null,
      tokensPerSecond: this.#tokens > 1 && seconds > 0 ? (this.#tokens - 1) / seconds : null,
    };
  }

  /** Take a block if it is new. */
  take(block: Block, now: number): Taken {
    if (this.ended) return "known";
    const event = parseEvent(block);
    // This reader fell behind, and the stream goes on for others. Its position is of what it has not seen.
    if (event?.name === "error" && event.data.code === "slow_reader") return "lost";
    const position = parsePosition(block.id);
    if (this.#again) this.#forget();
    if (position) {
      if (this.#seen && position.epoch !== this.#seen.epoch) this.#forget();
      else if (this.#seen && !isAfter(position, this.#seen)) return "known";
      this.#seen = position;
      this.position = block.id;
    }
    this.begun = true;
    this.#message = null;
    const end = event !== null && this.#apply(event, now);
    if (end === "lost") return end;
    if (position && !this.ended) this.#mark(position.offset);
    return end ? "end" : "new";
  }

  /** Returns whether the answer ended; or "lost" if what it ended with can only be told from its beginning. */
  #apply(event: NativeEvent, now: number): boolean | "lost" {
    const { name, data } = event;
    if ((name === "tool_call" ? data.choice : "index" in data && data.index) || 0) return false; // other choices are not shown
    switch (name) {
      case "start":
        this.stream ??= data.stream;
        this.model = data.model ?? this.model;
        return false;
      case "reasoning":
        this.#progress(now);
        this.#reasoning += data.text;
        return false;
      case "token":
      case "refusal":
        this.#progress(now);
        this.#text += data.text;
        return false;
      case "tool_call": {
        this.#progress(now);
        const call = (this.#calls[data.index] ??= { id: "", name: "", arguments: "" });
        call.id = data.id ?? call.id;
        call.name = data.name ?? call.name;
        call.arguments += data.arguments ?? "";
        return false;
      }
      case "usage":
        this.#usage = data;
        return false;
      case "error":
        this.end(data.outcome ?? data.code, now, { code: data.code, message: data.message, retryable: data.retryable });
        this.final = true;
        return true;
      case "done":
        if (data.outcome === "cancelled" && data.kept !== undefined && !this.#goBack(data.kept)) {
          this.restart();
          return "lost";
        }
        this.end(data.outcome, now);
        this.final = true;
        return true;
      default:
        return false;
    }
  }

  #progress(now: number): void {
    this.#firstAt ??= now;
    this.progressAt = this.#lastAt = now;
    this.#tokens += 1;
  }

  /** End it here, whoever said so. */
  end(outcome: string, now: number, error: ErrorInfo | null = null): void {
    this.outcome = outcome;
    this.error = error;
    this.#endedAt = now;
    this.#message = null;
    this.#offsets = [];
    this.#textLengths = [];
    this.#reasoningLengths = [];
  }

  /** Stop at what was shown: what came since goes. Returns the offset that was seen; null = it is not known. */
  stop(now: number): number | null {
    // Where nobody ever looked, everything that came counts as seen.
    const shown = this.#shown ?? {
      offset: this.offset, text: this.#text.length, reasoning: this.#reasoning.length, calls: this.#calls,
    };
    this.#text = this.#text.slice(0, shown.text);
    this.#reasoning = this.#reasoning.slice(0, shown.reasoning);
    this.#calls = shown.calls.map((call) => ({ ...call }));
    this.end("cancelled", now);
    return shown.offset;
  }

  /** It has not ended after all: read its log again, from the beginning. What there is stays until that comes. */
  reopen(): void {
    this.outcome = null;
    this.error = null;
    this.final = false;
    this.#message = null;
    this.restart();
  }

  /** Read the log from its beginning at the next attach. */
  restart(): void {
    this.position = null;
    this.#again = true;
  }

  /** Take over what the server has stored, up to the position that it tells. */
  adopt(stored: StoredMessage, now: number): void {
    const message = messageOf(stored);
    this.#forget();
    this.begun = true;
    this.#watched = false;
    this.#text = message.text;
    this.#reasoning = message.reasoning;
    this.#calls = message.toolCalls.map((call) => ({ ...call }));
    this.#usage = message.usage;
    this.#timing = message.timing;
    this.model = message.model ?? this.model;
    this.stream = message.stream ?? this.stream;
    this.#seen = message.state === "streaming" ? parsePosition(stored.position ?? null) : null;
    if (this.#seen) {
      this.position = stored.position!;
      this.#joined = true;
      this.#mark(this.#seen.offset);
    } else this.#again = true; // if its log is read after all, that is all of it
    if (message.state === "streaming") return;
    this.end(message.outcome ?? "interrupted", now, message.error);
    this.final = true;
  }

  #mark(offset: number): void {
    this.#offsets.push(offset);
    this.#textLengths.push(this.#text.length);
    this.#reasoningLengths.push(this.#reasoning.length);
  }

  /**
   * Someone stopped the answer at what they had seen; the answer is the text up to there, for every reader. Returns
   * whether that could be done: what was taken over as a whole has no offsets within.
   */
  #goBack(kept: number): boolean {
    let low = 0;
    for (let high = this.#offsets.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#offsets[middle]! <= kept) low = middle + 1;
      else high = middle;
    }
    if (low === 0 && this.#joined) return false;
    this.#text = this.#text.slice(0, low > 0 ? this.#textLengths[low - 1] : 0);
    this.#reasoning = this.#reasoning.slice(0, low > 0 ? this.#reasoningLengths[low - 1] : 0);
    return true;
  }

  /** What follows is a log from its beginning. */
  #forget(): void {
    this.#again = this.#joined = false;
    this.#seen = null;
    this.position = null;
    this.#text = this.#reasoning = "";
    this.#calls = [];
    this.#usage = this.#timing = null;
    this.#tokens = 0;
    this.#offsets = [];
    this.#textLengths = [];
    this.#reasoningLengths = [];
    this.#message = null;
    this.#shown = null;
  }
}
