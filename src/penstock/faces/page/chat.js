// Conversations, kept in this browser. A record is plain data; text and position of an answer are stored together, so
// that what is read back after a reload is always a state that once was.

import { newRecord, randomId } from "/static/answer.js";

const PREFIX = "penstock.chat.";
const MOST_CHATS = 12;

/** What can't be stored is only not there after a reload: a full or forbidden storage must not stop an answer. */
function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}

const read = (key) => attempt(() => JSON.parse(localStorage.getItem(key)));
const write = (key, value) => attempt(() => localStorage.setItem(key, JSON.stringify(value)));

export class Chat {
  /** Messages, oldest first: `{role: "user", id, at, text}` and answers' records. */
  messages = [];
  #timer = null;

  constructor(id = randomId()) {
    this.id = id;
  }

  /** The conversation to show: the one that holds this stream, else this tab's, else the latest, else a new one. */
  static open(stream) {
    const ids = read("penstock.chats") ?? [];
    if (stream) {
      for (const id of ids) {
        const chat = Chat.#load(id);
        if (chat?.messages.some((message) => message.stream === stream)) return chat;
      }
      const chat = new Chat();
      // Asked somewhere else: only the answer is known, and when it was asked for is not.
      chat.messages.push(newRecord("", { stream, asked: null, watched: true }));
      return chat;
    }
    const mine = attempt(() => sessionStorage.getItem("penstock.tab"));
    return Chat.#load(mine ?? ids[0]) ?? new Chat(mine ?? undefined);
  }

  static #load(id) {
    const messages = id && read(PREFIX + id);
    if (!Array.isArray(messages)) return null;
    const chat = new Chat(id);
    chat.messages = messages;
    return chat;
  }

  /** The address of this chat in the storage, to recognise another tab's writing. */
  get storageKey() {
    return PREFIX + this.id;
  }

  /** Make this the tab's conversation. */
  enter() {
    attempt(() => sessionStorage.setItem("penstock.tab", this.id));
  }

  ask(text, model) {
    const answer = newRecord(model);
    this.messages.push({ role: "user", id: randomId(), at: answer.at - 1, text }, answer);
    this.save();
    return answer;
  }

  /** Ask the same again in place of an answer that failed. */
  askAgain(failed, model) {
    failed.replaced = true;
    const answer = newRecord(model);
    this.messages.push(answer);
    this.save();
    return answer;
  }

  /** The request that led, or leads, to this answer: the same words each time, as its idempotency key demands. */
  question(answer) {
    const before = this.messages.slice(0, this.messages.indexOf(answer));
    const said = before.filter((message) => !message.replaced && message.text);
    return { model: answer.model, messages: said.map(({ role, text }) => ({ role, content: text })) };
  }

  /** Messages that another tab added to this conversation. */
  merge() {
    const known = new Set(this.messages.map((message) => message.id));
    const added = (read(this.storageKey) ?? []).filter((message) => !known.has(message.id));
    if (added.length) this.messages = [...this.messages, ...added].sort((one, other) => one.at - other.at);
    return added;
  }

  /** Store soon; many changes become one writing. */
  touch() {
    this.#timer ??= setTimeout(() => this.save(), 250);
  }

  save() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.messages.length) return;
    this.merge();
    write(this.storageKey, this.messages);
    const ids = [this.id, ...(read("penstock.chats") ?? []).filter((id) => id !== this.id)];
    for (const old of ids.splice(MOST_CHATS)) attempt(() => localStorage.removeItem(PREFIX + old));
    write("penstock.chats", ids);
  }
}
