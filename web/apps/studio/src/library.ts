// All conversations: the list at the side, kept true by the server's feed; and the chat of each one that was opened.

import { ChatError, Outbox, conversation, createChat, newId as randomId } from "@penstock/client";
import type { Chat, Conversation } from "@penstock/client";
import { api, follow, headers, type Model } from "./api.ts";
import { External } from "./external.ts";
import { settings } from "./settings.ts";
import { drafts, session, storage } from "./storage.ts";

export interface Shelf {
  conversations: Conversation[];
  more: boolean;
  search: string;
  models: Model[];
  /** Why nothing can be shown, if so. */
  trouble: "key" | "unreachable" | null;
  loaded: boolean;
  /** What could not be done just now, in words. */
  failed: string | null;
}

export const shelf = new External<Shelf>({
  conversations: [], more: false, search: "", models: [], trouble: null, loaded: false, failed: null,
});

interface Opened {
  readonly chat: Chat;
  /** The answers that the server was seen to have: it makes them, whether anybody follows or not. */
  readonly begun: Set<string>;
  /** Left to itself until it is looked at again. */
  parked: boolean;
}

const opened = new Map<string, Opened>(); // the last one used is the last one
const MOST_CHATS = 12;
/**
 * So many answers are followed besides those that are looked at. Each takes a connection, and browsers open six to a
 * server, for all tabs together.
 */
const MOST_BESIDE = 2;
let looking: string | null = null;

/**
 * The chat of a conversation that is looked at now; the same one each time, so that what streams goes on while another is
 * looked at. The server is asked for it, unless it is known to be `fresh`.
 */
export function chatOf(id: string, fresh: boolean): Chat {
  looking = id;
  const one = opened.get(id) ?? make(id, fresh);
  opened.delete(id);
  opened.set(id, one);
  if (one.parked) {
    one.parked = false;
    resume(one);
  }
  evict();
  park();
  return one.chat;
}

function make(id: string, fresh: boolean): Opened {
  const begun = new Set<string>();
  const transport = conversation({ api: "/v1/conversations", id, headers });
  const load = async (signal?: AbortSignal) => {
    const kept = await transport.load!(signal);
    for (const message of kept?.messages ?? []) begun.add(message.id);
    return kept;
  };
  const onFinish = () => {
    void refresh();
    if (chat.getSnapshot().missing) resume(one); // it was looked for before its first question had arrived
  };
  const chat = createChat({ id, transport: { ...transport, load }, storage, session, onFinish });
  const one: Opened = { chat, begun, parked: false };
  opened.set(id, one);
  if (fresh) chat.reattach();
  else resume(one);
  return one;
}

function resume({ chat }: Opened): void {
  void chat.resume().then(park); // it may have found answers to follow
}

/** Forget what was not used for long, unless it is at work. */
function evict(): void {
  for (const [id, { chat }] of opened) {
    if (opened.size <= MOST_CHATS) return;
    const { status, queued } = chat.getSnapshot();
    if (id === looking || status === "streaming" || status === "submitted" || queued.length > 0) continue;
    chat.detach();
    opened.delete(id);
  }
}

/** Leave answers to the server, which goes on with them: all but a few, and all where nobody sees the page. */
function park(): void {
  let left = document.visibilityState === "hidden" ? 0 : MOST_BESIDE;
  for (const [id, one] of [...opened].reverse()) {
    if (id === looking || one.parked) continue;
    const { all, queued } = one.chat.getSnapshot();
    const coming = all.filter(({ state }) => state === "streaming");
    // What is queued is sent from here, and a question that the server may not have yet as well.
    const needed = queued.length > 0 || coming.some((answer) => answer.stream === null && !one.begun.has(answer.id));
    if (needed || coming.length <= Math.max(left, 0)) {
      left -= coming.length;
      continue;
    }
    one.parked = true;
    one.chat.detach();
    // The server has these: the next page that opens need not send them.
    for (const answer of coming) new Outbox(id, storage).remove(answer.id);
  }
}

export const newId = (): string => randomId();

const PAGE = 50;
const MOST_AT_ONCE = 200; // that the server tells
let wanted = PAGE;
let reads = 0;
let shown = 0; // the read whose result is shown

/** Read the list, as far as it is wanted. */
async function read(): Promise<void> {
  const { search } = shelf.get();
  const turn = ++reads;
  const conversations: Conversation[] = [];
  let more = true;
  while (more && conversations.length < wanted) {
    const limit = Math.min(wanted - conversations.length, MOST_AT_ONCE);
    const page = await api.recent(search, limit, conversations.at(-1)?.updated);
    conversations.push(...page.conversations);
    more = page.more;
  }
  if (shelf.get().search !== search || turn < shown) return; // a later one was faster
  shown = turn;
  shelf.change({ conversations, more, trouble: null, loaded: true });
}

/** Read the list again, as far as it is shown. */
export async function refresh(): Promise<void> {
  try {
    await read();
  } catch (error) {
    fail(error);
  }
}

/** Do it, or say why it could not be done. Returns whether it was. */
export async function tried(what: string, deed: () => Promise<void>): Promise<boolean> {
  try {
    await deed();
    shelf.change({ failed: null });
    return true;
  } catch (error) {
    const why = error instanceof ChatError ? error.message : "the server can't be reached";
    shelf.change({ failed: `${what}: ${why}` });
    return false;
  }
}

export async function more(): Promise<void> {
  const before = wanted;
  wanted = shelf.get().conversations.length + PAGE;
  try {
    await read();
  } catch (error) {
    wanted = before;
    throw error;
  }
}

let typing: ReturnType<typeof setTimeout> | undefined;

export function search(text: string): void {
  wanted = PAGE;
  shelf.change({ search: text });
  clearTimeout(typing);
  typing = setTimeout(() => void refresh(), 150);
}

export async function rename(id: string, title: string): Promise<void> {
  const renamed = await api.rename(id, title);
  shelf.change({ conversations: shelf.get().conversations.map((one) => (one.id === id ? renamed : one)) });
}

export async function remove(id: string): Promise<void> {
  const one = opened.get(id);
  const queued = one?.chat.getSnapshot().queued ?? [];
  if (one) {
    // Deleting cancels the answer that is coming, and the end of that one would send the next.
    for (const { id: waiting } of queued) one.chat.removeQueued(waiting);
    one.parked = true;
    one.chat.detach();
  }
  try {
    await api.remove(id);
  } catch (error) {
    if (one) {
      one.parked = false;
      void one.chat.resume().then(() => {
        for (const { text, ask, models } of queued) one.chat.queue(text, ask, models);
      });
    }
    throw error;
  }
  one?.chat.detach(); // it may have been looked at meanwhile
  opened.delete(id);
  for (const kind of ["outbox", "stops"]) storage.removeItem(`penstock:${kind}:${id}`);
  session.removeItem(`penstock:queue:${id}`);
  drafts.keep(id, "");
  shelf.change({ conversations: shelf.get().conversations.filter((other) => other.id !== id) });
}

async function models(): Promise<void> {
  try {
    const found = await api.models();
    shelf.change({ models: found, trouble: null });
    const { model } = settings.get();
    if (!model || !found.some(({ id }) => id === model)) settings.change({ model: found[0]?.id ?? null });
    takeUp();
  } catch (error) {
    fail(error);
  }
}

let sought = false;

/** Once: what an earlier page left to be done, in whatever conversation. The server is there, and knows the key. */
function takeUp(): void {
  if (sought) return;
  sought = true;
  for (const key of [...storage.keys(), ...session.keys()]) {
    const id = /^penstock:(?:outbox|stops|queue):([\w-]{8,64})$/.exec(key)?.[1];
    if (id !== undefined && !opened.has(id)) make(id, false);
  }
}

function fail(error: unknown): void {
  const wrongKey = error instanceof ChatError && (error.status === 401 || error.status === 403);
  shelf.change({ trouble: wrongKey ? "key" : "unreachable", loaded: true });
}

let feed: AbortController | null = null;

/** Begin, or begin anew with another key. A page that is not looked at leaves the feed: browsers allow few connections. */
export function open(): void {
  feed?.abort();
  park();
  if (document.visibilityState === "hidden") return;
  feed = new AbortController();
  const reload = () => {
    void models();
    void refresh();
    for (const one of opened.values()) {
      const { leaf, error } = one.chat.getSnapshot();
      if (!one.parked && (leaf !== null || error !== null)) resume(one);
    }
  };
  let due: ReturnType<typeof setTimeout> | undefined;
  const changed = (id: string) => {
    const one = opened.get(id);
    if (one && !one.parked) resume(one);
    clearTimeout(due);
    due = setTimeout(() => void refresh(), 50);
  };
  reload();
  void follow(feed.signal, reload, changed);
}

document.addEventListener("visibilitychange", open);
