// The server's JSON: models and conversations, and the feed that says which of them have changed.

import { ChatError, SseReader, errorOf, type Conversation } from "@penstock/client";
import { storage } from "./storage.ts";

const KEY = "penstock.key";

/** What a model costs, in the currency of the configuration, for a million tokens. */
export interface Price {
  input: number;
  output: number;
}

export interface Model {
  id: string;
  price: Price | null;
}

export function storedKey(): string {
  return storage.getItem(KEY) ?? "";
}

export function keepKey(key: string): void {
  if (key) storage.setItem(KEY, key);
  else storage.removeItem(KEY);
}

export function headers(): Record<string, string> {
  const key = storedKey();
  return key ? { authorization: `Bearer ${key}` } : {};
}

async function json<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(path, { ...init, headers: { accept: "application/json", ...headers(), ...init.headers } });
  if (!response.ok) throw await errorOf(response);
  return (response.status === 204 ? null : await response.json()) as T;
}

const change = (method: string, body?: unknown): RequestInit => ({
  method,
  headers: { "content-type": "application/json" },
  ...(body !== undefined && { body: JSON.stringify(body) }),
});

export const api = {
  async models(): Promise<Model[]> {
    const { data } = await json<{ data: { id: string; price?: Price }[] }>("/v1/models");
    return data.map(({ id, price }) => ({ id, price: price ?? null }));
  },
  recent(search: string, limit: number, before?: number) {
    const query = { search, limit: String(limit), ...(before !== undefined && { before: String(before) }) };
    return json<{ conversations: Conversation[]; more: boolean }>(`/v1/conversations?${new URLSearchParams(query)}`);
  },
  rename: (id: string, title: string) => json<Conversation>(`/v1/conversations/${id}`, change("PATCH", { title })),
  remove: (id: string) => json<null>(`/v1/conversations/${id}`, change("DELETE")),
  /** The export as a file: by fetch, for a link could carry no key. */
  async save(id: string, format: "markdown" | "json"): Promise<void> {
    const response = await fetch(`/v1/conversations/${id}/export?format=${format}`, { headers: headers() });
    if (!response.ok) throw await errorOf(response);
    const name = /filename\*=UTF-8''(.+)/.exec(response.headers.get("content-disposition") ?? "")?.[1];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = name ? decodeURIComponent(name) : `conversation.${format === "json" ? "json" : "md"}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  },
};

// The server says something every 15 s. After three times nothing, the connection is dead, whatever it says.
const LONGEST_SILENCE = 45_000;

/** Follow the feed until `signal` aborts, and come back whenever it breaks. `ready` is called at each beginning. */
export async function follow(signal: AbortSignal, ready: () => void, changed: (id: string) => void): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    const cut = new AbortController();
    const leave = () => cut.abort();
    signal.addEventListener("abort", leave);
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(leave, LONGEST_SILENCE);
    };
    try {
      heard();
      const response = await fetch("/v1/conversations/events", { headers: headers(), cache: "no-store", signal: cut.signal });
      if (!response.ok) throw await errorOf(response);
      const sse = new SseReader(({ name, data }) => {
        attempt = 0;
        if (name === "ready") ready();
        if (name === "changed") changed((JSON.parse(data) as { conversation: string }).conversation);
      });
      const reader = response.body!.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        heard();
        sse.feed(value);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ChatError && (error.status === 401 || error.status === 403)) return;
    } finally {
      clearTimeout(silence);
      signal.removeEventListener("abort", leave);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(10_000, 300 * 2 ** attempt) * (0.5 + Math.random() / 2)));
  }
}
