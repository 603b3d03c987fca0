import { createChat, type Chat, type ChatOptions, type Message, type Snapshot } from "@penstock/client";
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { paced, type Frames } from "./frames.ts";

/** A chat, or what to make one of: it is made once, for as long as the component is there. */
export type UseStreamingChatOptions = ({ chat: Chat } | { options: ChatOptions }) & {
  /** At mount: load the conversation, follow what is being answered, send what was not sent. */
  resume?: boolean;
  frames?: Frames;
};

/** What there is to do with a chat. */
export type ChatActions = Pick<
  Chat,
  | "sendMessage" | "regenerate" | "edit" | "branch" | "compare" | "stop" | "queue" | "editQueued" | "removeQueued"
  | "resume" | "resumeStream" | "load" | "setMessages" | "clearError"
>;

export type UseStreamingChat = Snapshot & ChatActions & { readonly chat: Chat };

/** Show a chat: rendered at most once per frame, and at once when an answer ends. Unmounting leaves answers to go on. */
export function useStreamingChat(given: UseStreamingChatOptions): UseStreamingChat {
  const [made] = useState(() => ("chat" in given ? null : createChat(given.options)));
  const chat = "chat" in given ? given.chat : made!;
  const { resume = false } = given;
  const store = paced(chat, given.frames);
  const snapshot = useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
  useEffect(() => {
    const unmount = store.mount();
    if (resume) void chat.resume();
    else chat.reattach(); // what an earlier view of this chat has left
    return unmount;
  }, [chat, store, resume]);
  return { ...snapshot, ...actions(chat), chat };
}

/** One message of a chat. Renders only when this message changes. */
export function useMessage(chat: Chat, id: string): Message | undefined {
  const store = paced(chat);
  const find = useCallback(() => findMessage(store.getSnapshot(), id), [store, id]);
  return useSyncExternalStore(store.subscribe, find, find);
}

/** Anything of a chat. Renders only when what is selected is another value. */
export function useChatValue<T>(chat: Chat, select: (snapshot: Snapshot) => T): T {
  const store = paced(chat);
  const get = () => select(store.getSnapshot());
  return useSyncExternalStore(store.subscribe, get, get);
}

// By snapshot: with thousands of messages on the page, each of them asks at every frame.
const indexes = new WeakMap<readonly Message[], Map<string, Message>>();

function findMessage({ all }: Snapshot, id: string): Message | undefined {
  let index = indexes.get(all);
  if (!index) indexes.set(all, (index = new Map(all.map((message) => [message.id, message]))));
  return index.get(id);
}

function actions(chat: Chat): ChatActions {
  const { sendMessage, regenerate, edit, branch, compare, stop, queue, editQueued, removeQueued } = chat;
  const { resume, resumeStream, load, setMessages, clearError } = chat;
  return {
    sendMessage, regenerate, edit, branch, compare, stop, queue, editQueued, removeQueued,
    resume, resumeStream, load, setMessages, clearError,
  };
}
