// What a refusal leaves: the server keeps the question and no answer, and tells so while this page shows more.

import { expect, test } from "vitest";
import { ChatError, createChat, type Connection, type StoredConversation, type Transport } from "../src/index.ts";

const refusal = (status: number, retryAfter: number | null) =>
  new ChatError({ status, code: "upstream_rate_limited", message: "no", retryable: true, retryAfter });

function connection(stream: string, text: string): Connection {
  async function* reads() {
    yield [
      { id: "ab:1", name: "token", data: JSON.stringify({ text }) },
      { id: "ab:2", name: "done", data: '{"outcome":"completed"}' },
    ];
  }
  return { stream, ended: false, reads: reads() };
}

/** Refuses each question as often as there are refusals, and keeps what Penstock's server would keep. */
class Server implements Transport {
  asked = 0;
  attached: string[] = [];
  refusals: ChatError[];
  question = "";
  answer = "";
  making = false;
  duringAsk: () => Promise<void> = async () => {};

  constructor(...refusals: ChatError[]) {
    this.refusals = refusals;
  }

  ask = async (question: Parameters<Transport["ask"]>[0]): Promise<Connection> => {
    this.asked += 1;
    this.question = question.message?.id ?? this.question;
    this.answer = question.answer;
    this.making = true;
    await null; // as a fetch is never answered at once
    await this.duringAsk();
    const refused = this.refusals.shift();
    if (!refused) return connection("stream-2", "here");
    this.making = false;
    throw refused;
  };

  attach = async (stream: string): Promise<Connection> => {
    this.attached.push(stream);
    throw new ChatError({ status: 404, code: "stream_not_found", message: "gone", retryable: true });
  };

  cancel = async () => null;

  load = async (): Promise<StoredConversation> => {
    const none = { text: "", model: null, reasoning: "", tool_calls: [], stream: null, error: null, usage: null, timing: null };
    const question = { ...none, id: this.question, parent: null, role: "user" as const, created: 1, state: "ended" as const, outcome: null };
    const answer = { ...question, id: this.answer, parent: this.question, role: "assistant" as const, state: "streaming" as const, stream: "stream-1" };
    const leaf = this.making ? this.answer : this.question;
    return {
      conversation: { id: "talk", title: "", created: 1, updated: 1, leaf },
      messages: this.making ? [question, answer] : [question],
    };
  };
}

const clock = {
  now: () => Date.now(),
  after(milliseconds: number, call: () => void) {
    const timer = setTimeout(call, milliseconds / 50);
    return () => clearTimeout(timer);
  },
};

test("what changes while the conversation is being read is read as well", async () => {
  let reads = 0;
  let letGo = () => {};
  const server = new Server();
  const kept = server.load;
  server.load = async () => {
    reads += 1;
    if (reads === 1) await new Promise<void>((resolve) => (letGo = resolve));
    return kept();
  };
  const chat = createChat({ transport: server, model: "m" });
  const first = chat.resume();
  await null;
  await chat.resume();
  await chat.resume();
  expect(reads).toBe(1);
  letGo();
  await first;
  expect(reads).toBe(2);
});

test("a refused answer stays in sight when the server says that it keeps none", async () => {
  const server = new Server(refusal(502, null));
  const chat = createChat({ transport: server, model: "m" });
  const answer = await chat.sendMessage({ text: "hello" });
  await chat.resume();
  const { messages, leaf } = chat.getSnapshot();
  expect(messages.map(({ role }) => role)).toEqual(["user", "assistant"]);
  expect(leaf).toBe(answer!.id);
  expect(messages[1]!.error?.message).toBe("no");
});

test("what is said after a refused answer follows its question, which the server keeps", async () => {
  const server = new Server(refusal(502, null));
  const asked: (string | null)[] = [];
  const { ask } = server;
  server.ask = (question) => {
    asked.push(question.parent);
    return ask(question);
  };
  const chat = createChat({ transport: server, model: "m" });
  const refused = await chat.sendMessage({ text: "hello" });
  const question = refused!.parent;
  await chat.resume(); // the feed said that there is a question
  await chat.sendMessage({ text: "is nobody there?" });
  expect(asked).toEqual([null, question]);
  const { messages, siblings } = chat.getSnapshot();
  expect(messages.map(({ text }) => text)).toEqual(["hello", "is nobody there?", "here"]);
  expect(siblings.get(messages[1]!.id)).toContain(refused!.id); // and the refusal is to be found beside it
});

test("an answer that waits for its turn is asked for again, though its refused stream was heard of", async () => {
  const server = new Server(refusal(429, 1));
  const chat = createChat({ transport: server, model: "m", clock });
  server.duringAsk = () => chat.resume(); // as the feed of changes does
  const answer = await chat.sendMessage({ text: "hello" });
  expect(answer!.text).toBe("here");
  expect(server.asked).toBe(2);
  expect(server.attached).toEqual([]);
});

test("that the conversation could not be read is forgotten once it can be", async () => {
  const server = new Server();
  const chat = createChat({ transport: server, model: "m" });
  await chat.sendMessage({ text: "hello" });
  const { load } = server;
  server.load = () => Promise.reject(new TypeError("network"));
  await chat.resume();
  expect(chat.getSnapshot().error?.code).toBe("unreachable");
  server.load = load;
  await chat.resume();
  expect(chat.getSnapshot().error).toBe(null);
});
