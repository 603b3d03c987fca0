// The two transports over HTTP and server-sent events.

import { ChatError, errorOf } from "./errors.ts";
import type { StoredConversation, StoredMessage } from "./messages.ts";
import { SseReader, type Block } from "./sse.ts";
import type { Connection, Question, Transport } from "./transport.ts";

type Fetch = typeof globalThis.fetch;
type Headers = Record<string, string>;

/** What both transports can be given. */
export interface HttpOptions {
  /** The address that questions are posted to. */
  api: string;
  /** Where streams are attached to and cancelled; without it, `/v1/streams` beside the API. */
  streams?: string;
  fetch?: Fetch;
  /** Sent with every request, such as `authorization`. A function is asked each time. */
  headers?: Headers | (() => Headers | Promise<Headers>);
}

/** Stateless: the whole conversation is posted to `POST /v1/streams` with every question. */
export function sse(options: HttpOptions): Transport {
  const http = new Http(options, options.streams ?? options.api);
  return {
    ask(question, signal) {
      const system = question.system ? [{ role: "system", content: question.system }] : [];
      const body = {
        model: question.model,
        messages: [...system, ...question.history],
        temperature: question.temperature,
        max_tokens: question.maxTokens,
      };
      return http.open(options.api, signal, body, { "idempotency-key": question.answer });
    },
    attach: (stream, position, signal) => http.attach(stream, position, signal),
    cancel: (stream, seen) => http.cancel(stream, seen),
  };
}

/** The server keeps the conversation: `POST /v1/conversations/{id}/answers`. */
export function conversation(options: HttpOptions & { id: string }): Transport {
  const http = new Http(options, options.streams ?? options.api.replace(/[^/]*\/?$/, "streams"));
  const address = `${options.api}/${encodeURIComponent(options.id)}`;
  const load = async (signal?: AbortSignal): Promise<StoredConversation | null> => {
    try {
      return (await http.json("GET", address, undefined, signal)) as StoredConversation;
    } catch (error) {
      if (error instanceof ChatError && error.status === 404 && !error.foreign) return null;
      throw error;
    }
  };
  return {
    ask(question: Question, signal) {
      const body = {
        id: question.answer,
        model: question.model,
        parent: question.parent,
        message: question.message ?? undefined,
        system: question.system || undefined,
        temperature: question.temperature,
        max_tokens: question.maxTokens,
      };
      return http.open(`${address}/answers`, signal, body);
    },
    attach: (stream, position, signal) => http.attach(stream, position, signal),
    cancel: (stream, seen) => http.cancel(stream, seen),
    stop: (answer, seen) => http.cancelAt(`${address}/answers/${encodeURIComponent(answer)}/cancel`, seen),
    async recover(answer, signal): Promise<StoredMessage | null> {
      const kept = await load(signal);
      return kept?.messages.find((message) => message.id === answer) ?? null;
    },
    load,
    async choose(leaf) {
      await http.json("PATCH", address, { leaf });
    },
  };
}

class Http {
  #fetch: Fetch;
  #headers: HttpOptions["headers"];
  #streams: string;

  constructor(options: HttpOptions, streams: string) {
    // Called as a method of anything else, the browser's fetch throws.
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#headers = options.headers;
    this.#streams = streams;
  }

  /** POST a question, and read the stream that answers it. */
  async open(address: string, signal: AbortSignal, body: unknown, headers: Headers = {}): Promise<Connection> {
    const response = await this.#send(
      address,
      { method: "POST", body: JSON.stringify(body), headers: { ...headers, ...JSON_BODY, ...EVENTS }, signal },
    );
    return connection(response, signal);
  }

  async attach(stream: string, position: string | null, signal: AbortSignal): Promise<Connection> {
    const headers = position === null ? EVENTS : { ...EVENTS, "last-event-id": position };
    const response = await this.#send(this.#stream(stream), { headers, cache: "no-store", signal });
    return connection(response, signal);
  }

  cancel(stream: string, seen: number | null): Promise<string | null> {
    return this.cancelAt(`${this.#stream(stream)}/cancel`, seen);
  }

  async cancelAt(address: string, seen: number | null): Promise<string | null> {
    // keepalive: the page may be on its way out.
    const body = JSON.stringify(seen === null ? {} : { seen });
    const response = await this.#send(address, { method: "POST", headers: JSON_BODY, body, keepalive: true });
    if (!response.ok) throw await errorOf(response);
    const said = (await response.json()) as { outcome?: string | null };
    return said.outcome ?? null;
  }

  async json(method: string, address: string, body?: unknown, signal?: AbortSignal): Promise<unknown> {
    const init: RequestInit & { headers: Headers } = { method, headers: { ...(body === undefined ? {} : JSON_BODY), accept: "application/json" } };
    if (body !== undefined) init.body = JSON.stringify(body);
    if (signal) init.signal = signal;
    const response = await this.#send(address, init);
    if (!response.ok) throw await errorOf(response);
    return untilAborted(response.json(), signal);
  }

  #stream(id: string): string {
    return `${this.#streams}/${encodeURIComponent(id)}`;
  }

  async #send(address: string, init: RequestInit & { headers: Headers }): Promise<Response> {
    const more = typeof this.#headers === "function" ? await this.#headers() : this.#headers;
    const sent = this.#fetch(address, { ...init, headers: { ...more, ...init.headers } });
    return untilAborted(sent, init.signal ?? undefined);
  }
}

const JSON_BODY = { "content-type": "application/json" };
const EVENTS = { accept: "text/event-stream" };

async function connection(response: Response, signal: AbortSignal): Promise<Connection> {
  if (response.status === 204) return { stream: null, ended: true, reads: nothing() };
  if (!response.ok) throw await errorOf(response);
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
    // A portal or a proxy that answers instead of the server: the question has not arrived, the stream has not ended.
    throw new Error("The response is no event stream.");
  }
  return { stream: response.headers.get("penstock-stream-id"), ended: false, reads: reads(response, signal) };
}

async function* nothing(): AsyncGenerator<readonly Block[]> {}

async function* reads(response: Response, signal: AbortSignal): AsyncGenerator<readonly Block[]> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  let blocks: Block[] = [];
  const parser = new SseReader((block) => blocks.push(block));
  try {
    for (;;) {
      const { done, value } = await untilAborted(reader.read(), signal);
      if (done) return;
      parser.feed(value);
      yield blocks;
      blocks = [];
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Fetch and read reject at an abort by themselves; some stand-ins, and some browsers in the background, do not. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const aborted = () => reject(new DOMException("aborted", "AbortError"));
    if (signal.aborted) aborted();
    signal.addEventListener("abort", aborted, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
  });
}
