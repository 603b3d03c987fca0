// All conversations: the list at the side, kept true by the server's feed; and the chat of each one that was opened.

import { ChatError, conversation, createChat, newId as randomId, type Chat, type Conversation } from "@penstock/client";
import { api, follow, headers, type Model } from "./api.ts";
import { External } from "./external.ts";
import { settings } from "./settings.ts";
import { storage } from "./storage.ts";

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

const chats = new Map<string, Chat>();
const MOST_CHATS = 12;

/**
 * The chat of a conversation; the same one each time, so that what streams goes on while another is looked at.
 * The server is asked for it, unless it is known to be `fresh`.
 */
export function chatOf(id: string, fresh: boolean): Chat {
  let chat = chats.get(id);
  if (!chat) {
    chat = createChat({
      id,
      transport: conversation({ api: "/v1/conversations", id, headers }),
      storage,
      onFinish: () => void refresh(),
    });
    if (fresh) chat.reattach();
    else void chat.resume();
  }
  chats.delete(id);
  chats.set(id, chat); // the last one used is the last one let go of
  for (const [old, other] of chats) {
    if (chats.size <= MOST_CHATS) break;
    if (other.getSnapshot().status === "streaming" || old === id) continue;
    other.detach();
    chats.delete(old);
  }
  return chat;
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
  await api.remove(id);
  chats.get(id)?.detach();
  chats.delete(id);
  shelf.change({ conversations: shelf.get().conversations.filter((one) => one.id !== id) });
}

async function models(): Promise<void> {
  try {
    const found = await api.models();
    shelf.change({ models: found, trouble: null });
    const { model } = settings.get();
    if (!model || !found.some(({ id }) => id === model)) settings.change({ model: found[0]?.id ?? null });
  } catch (error) {
    fail(error);
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
  if (document.visibilityState === "hidden") return;
  feed = new AbortController();
  const reload = () => {
    void models();
    void refresh();
    for (const chat of chats.values()) if (chat.getSnapshot().leaf !== null) void chat.resume();
  };
  let due: ReturnType<typeof setTimeout> | undefined;
  const changed = (id: string) => {
    void chats.get(id)?.resume();
    clearTimeout(due);
    due = setTimeout(() => void refresh(), 50);
  };
  reload();
  void follow(feed.signal, reload, changed);
}

document.addEventListener("visibilitychange", open);
