// A server in memory: native logs with offsets, epochs, resuming, idempotency and cancelling; and conversations.
// Reached through `fetch`, with real responses, over a network that can be cut anywhere.

import { parsePosition, isAfter, type StoredConversation, type StoredMessage } from "../src/index.ts";

interface Entry {
  id: string;
  text: string;
}

/** One answer's log, written to by the test. */
export class Log {
  entries: Entry[] = [];
  ended = false;
  outcome: string | null = null;
  text = "";
  cancelledAt: number | null = null;
  readers = new Set<(block: string) => void>();
  closers = new Set<() => void>();
  offset = 0;

  constructor(
    readonly stream: string,
    readonly epoch: string,
    readonly answer: string,
  ) {}

  write(event: string, data: unknown, part?: number): this {
    if (part === undefined || part === 1) this.offset += 1;
    const id = `${this.epoch}:${this.offset}${part === undefined ? "" : `.${part}`}`;
    const text = `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    this.entries.push({ id, text });
    for (const read of this.readers) read(text);
    return this;
  }

  tokens(...texts: string[]): this {
    for (const text of texts) {
      this.text += text;
      this.write("token", { text });
    }
    return this;
  }

  keepalive(): void {
    for (const read of this.readers) read(": keepalive\n\n");
  }

  end(event: "done" | "error", data: Record<string, unknown>): void {
    this.write("usage", { input_tokens: 1, output_tokens: 2, cached_tokens: null, reasoning_tokens: null, source: "final" }, 1);
    this.write(event, data, 2);
    this.ended = true;
    this.outcome = String(data["outcome"]);
    for (const close of [...this.closers]) close();
  }

  done(outcome = "completed"): void {
    this.end("done", { outcome });
  }

  cancel(seen: number | null): void {
    if (this.ended) return;
    if (seen !== null) {
      this.entries = this.entries.filter(({ id }) => parsePosition(id)!.offset <= seen);
      this.text = this.entries.map(({ text }) => /"text":"(.*)"}/.exec(text)?.[1] ?? "").join("");
      this.cancelledAt = seen;
    }
    this.end("done", seen === null ? { outcome: "cancelled" } : { outcome: "cancelled", kept: seen });
  }

  after(position: string | null): Entry[] {
    const seen = parsePosition(position);
    return seen ? this.entries.filter(({ id }) => isAfter(parsePosition(id)!, seen)) : [...this.entries];
  }
}

/** What the network does to one response: how many bytes come through, in chunks of what sizes, and how it ends. */
export interface Path {
  bytes: number;
  chunk?: number;
  clean?: boolean;
}

export class Server {
  logs: Log[] = [];
  conversations = new Map<string, StoredConversation>();
  requests: string[] = [];
  bodies: unknown[] = [];
  /** What streams were attached to after. */
  positions: (string | null)[] = [];
  /** Questions that came in, and those that began an answer. */
  posts = 0;
  accepted = 0;
  cancels: { stream: string; seen: number | null }[] = [];
  /** Answers that were stopped before they were asked for. */
  stopped = new Set<string>();
  /** No connection is made. */
  down = false;
  /** Questions arrive, and their answers do not. */
  deaf = 0;
  /** Refusals of the next questions. */
  refusals: { status: number; code?: string; retryAfter?: number }[] = [];
  /** Of the next responses that stream. */
  paths: Path[] = [];
  /** Called for every answer that begins. */
  onBegin: (log: Log) => void = () => {};
  /** Streams answer with this, if it is not null. */
  attachStatus: number | null = null;
  /** Questions wait for this before they are accepted. */
  gate: Promise<void> | null = null;
  /** Accepted questions wait for this before they are answered: the model has not said a word. */
  head: Promise<void> | null = null;

  #keys = new Map<string, { log: Log; body: string }>();
  #epoch = 1;
  #abort = new Set<() => void>();

  get log(): Log {
    return this.logs.at(-1)!;
  }

  /** The process ends, and another one begins: logs are gone, and what ran is interrupted. */
  restart(): void {
    this.#epoch += 1;
    for (const { messages } of this.conversations.values()) {
      for (const message of messages) {
        const log = this.logs.find(({ stream }) => stream === message.stream);
        if (log) message.text = log.text;
        message.stream = null;
        if (message.state === "streaming") Object.assign(message, { state: "ended", outcome: "interrupted" });
      }
    }
    this.logs = [];
    this.#keys.clear();
    this.cut();
  }

  /** The conversations say what their answers have said by now; and up to which position, if `where`. */
  keepText(where = true): void {
    for (const { messages } of this.conversations.values()) {
      for (const message of messages) {
        const log = this.logs.find(({ stream }) => stream === message.stream);
        if (log) Object.assign(message, { text: log.text, position: where ? log.entries.at(-1)!.id : null });
      }
    }
  }

  /** All connections are lost. */
  cut(): void {
    for (const abort of [...this.#abort]) abort();
  }

  fetch = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    const path = String(input);
    const method = init.method ?? "GET";
    const headers = new Headers(init.headers);
    this.requests.push(`${method} ${path}`);
    await null;
    if (init.signal?.aborted) throw new DOMException("aborted", "AbortError");
    if (this.down) throw new TypeError("Load failed");
    const cancel = /^\/v1\/streams\/([^/]+)\/cancel$/.exec(path);
    const stream = /^\/v1\/streams\/([^/]+)$/.exec(path);
    const stop = /^\/v1\/conversations\/([^/]+)\/answers\/([^/]+)\/cancel$/.exec(path);
    const answers = /^\/v1\/conversations\/([^/]+)\/answers$/.exec(path);
    const kept = /^\/v1\/conversations\/([^/]+)$/.exec(path);
    if (stop) return this.#stop(stop[1]!, stop[2]!, JSON.parse(String(init.body)) as { seen?: number });
    if (cancel) return this.#cancel(cancel[1]!, JSON.parse(String(init.body)) as { seen?: number });
    if (stream) return this.#attach(stream[1]!, headers.get("last-event-id"), init.signal ?? null);
    if (answers || path === "/v1/streams") {
      this.posts += 1;
      this.bodies.push(JSON.parse(String(init.body)));
      if (this.gate) await this.gate;
      const key = headers.get("idempotency-key");
      const response = this.#open(answers?.[1] ?? null, String(init.body), key, init.signal ?? null);
      if (this.head) await this.head;
      return response;
    }
    if (kept && method === "PATCH") {
      Object.assign(this.conversations.get(kept[1]!)!.conversation, JSON.parse(String(init.body)));
      return Response.json({});
    }
    const found = kept && this.conversations.get(kept[1]!);
    return found ? Response.json(found) : refusal(404, "conversation_not_found");
  };

  #open(conversation: string | null, body: string, header: string | null, signal: AbortSignal | null): Response {
    const refused = this.refusals.shift();
    if (refused) return refusal(refused.status, refused.code, refused.retryAfter);
    const asked = JSON.parse(body) as { id?: string; model: string; parent?: string; message?: { id: string; text: string } };
    const key = asked.id ?? header ?? "";
    const before = this.#keys.get(key);
    if (before && before.body !== body) return refusal(409, "idempotency_conflict");
    let log = before?.log;
    if (!log) {
      const stored = conversation === null ? undefined : this.conversations.get(conversation)?.messages;
      if (stored?.some(({ id }) => id === key)) return refusal(410, "resume_expired");
      if (asked.parent && stored && !stored.some(({ id }) => id === asked.parent)) return refusal(404, "message_not_found");
      if (this.stopped.has(key)) return refusal(410, "resume_expired");
      this.accepted += 1;
      log = new Log(`stream${this.#epoch}${this.accepted}`, `e${this.#epoch}${this.accepted}`, key);
      this.logs.push(log);
      this.#keys.set(key, { log, body });
      if (conversation !== null) this.#store(conversation, asked, log);
      log.write("start", { stream: log.stream, model: asked.model });
      this.onBegin(log);
    }
    if (this.deaf > 0) {
      this.deaf -= 1;
      throw new TypeError("The network connection was lost.");
    }
    return this.#stream(log, null, signal);
  }

  #store(id: string, asked: { id?: string; model: string; parent?: string; message?: { id: string; text: string } }, log: Log): void {
    const kept = this.conversations.get(id) ?? {
      conversation: { id, title: asked.message?.text ?? "", created: 1, updated: 1, leaf: null },
      messages: [],
    };
    this.conversations.set(id, kept);
    const { message, parent = null } = asked;
    if (message && !kept.messages.some((other) => other.id === message.id)) {
      kept.messages.push(stored({ id: message.id, parent, role: "user", text: message.text }));
    }
    const answer = { id: log.answer, parent: message?.id ?? parent, model: asked.model, stream: log.stream };
    kept.messages.push(stored({ ...answer, state: "streaming" }));
    kept.conversation.leaf = log.answer;
  }

  #attach(stream: string, position: string | null, signal: AbortSignal | null): Response {
    if (this.attachStatus !== null) return refusal(this.attachStatus);
    this.positions.push(position);
    const log = this.logs.find((other) => other.stream === stream);
    if (!log) return refusal(404, "stream_not_found");
    const seen = parsePosition(position);
    if (seen && seen.epoch !== log.epoch) return refusal(410, "resume_expired");
    if (log.ended && log.after(position).length === 0) return new Response(null, { status: 204 });
    return this.#stream(log, position, signal);
  }

  #stop(conversation: string, answer: string, { seen }: { seen?: number }): Response {
    const log = this.logs.find((other) => other.answer === answer);
    this.cancels.push({ stream: log?.stream ?? answer, seen: seen ?? null });
    log?.cancel(seen ?? null);
    const kept = this.conversations.get(conversation)?.messages.find(({ id }) => id === answer);
    if (!log && !kept) this.stopped.add(answer);
    return Response.json({ answer, outcome: log ? log.outcome : kept ? kept.outcome : "cancelled" });
  }

  #cancel(stream: string, { seen }: { seen?: number }): Response {
    const log = this.logs.find((other) => other.stream === stream);
    if (!log) return refusal(404, "stream_not_found");
    this.cancels.push({ stream, seen: seen ?? null });
    log.cancel(seen ?? null);
    return Response.json({ stream, outcome: log.outcome });
  }

  #stream(log: Log, position: string | null, signal: AbortSignal | null): Response {
    const path = this.paths.shift() ?? { bytes: Infinity };
    let left = path.bytes;
    let over = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const stop = (how: () => void) => {
          if (over) return;
          over = true;
          log.readers.delete(read);
          log.closers.delete(close);
          this.#abort.delete(abort);
          how();
        };
        const abort = () => stop(() => controller.error(new TypeError("network error")));
        const close = () => stop(() => controller.close());
        const read = (block: string) => {
          if (over) return;
          const bytes = new TextEncoder().encode(block).slice(0, left);
          const size = path.chunk ?? bytes.length;
          for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
          left -= bytes.length;
          // A lost connection loses nothing that came before: errors are told after what is queued.
          if (left <= 0) queueMicrotask(path.clean ? close : () => setTimeoutless(abort));
        };
        log.readers.add(read);
        log.closers.add(close);
        this.#abort.add(abort);
        signal?.addEventListener("abort", abort);
        const missed = log.after(position).map(({ text }) => text).join("");
        if (missed) read(missed);
        if (log.ended) close();
      },
    });
    return new Response(body, {
      headers: { "content-type": "text/event-stream; charset=utf-8", "penstock-stream-id": log.stream },
    });
  }
}

/** Some microtasks later, so that queued chunks are read before the error takes them away. */
function setTimeoutless(call: () => void): void {
  let turns = 60;
  const turn = () => (turns-- > 0 ? queueMicrotask(turn) : call());
  turn();
}

function refusal(status: number, code?: string, retryAfter?: number): Response {
  const body = code === undefined ? "<html>" : JSON.stringify({ error: { code, message: `said ${code}`, retryable: status >= 429 } });
  const headers: Record<string, string> = retryAfter === undefined ? {} : { "retry-after": String(retryAfter) };
  return new Response(body, { status, headers });
}

/** A message as it is stored, of which some is known. */
export function stored(known: Partial<StoredMessage> & { id: string }): StoredMessage {
  return {
    parent: null, role: "assistant", created: 1, text: "", model: null, reasoning: "", tool_calls: [], stream: null,
    state: "ended", outcome: null, error: null, usage: null, timing: null, ...known,
  };
}
