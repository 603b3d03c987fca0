import { expect, test, describe } from "vitest";
import { last, say, world } from "./setup.ts";
import { settle } from "./time.ts";

describe("an answer", () => {
  test("is asked for, comes and ends", async () => {
    const { server, clock, open } = world();
    const chat = open();
    const seen: string[] = [];
    chat.subscribe(() => seen.push(chat.getSnapshot().status));
    expect(chat.getSnapshot().status).toBe("ready");
    await say(chat, "Name a river");
    expect(chat.getSnapshot()).toMatchObject({ phase: "thinking", connection: { state: "live" } });
    await clock.advance(2000);
    server.log.tokens("The ");
    await settle();
    expect(last(chat)).toMatchObject({ text: "The ", phase: "streaming", state: "streaming", model: "m" });
    await clock.advance(500);
    server.log.tokens("Rhine");
    await settle();
    server.log.done();
    await settle();
    expect(last(chat)).toMatchObject({ text: "The Rhine", phase: "formatted", outcome: "completed" });
    expect(last(chat).timing).toEqual({ ttftMs: 2000, tokensPerSecond: 2, totalMs: 2500 });
    expect(chat.getSnapshot()).toMatchObject({ status: "ready", error: null, connection: { state: "idle" } });
    expect(new Set(seen)).toEqual(new Set(["submitted", "streaming", "ready"]));
    expect(server.posts).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test("reaches a stateless server with the whole conversation", async () => {
    const { server, open } = world({ stateless: true });
    server.onBegin = (log) => log.tokens("one").done();
    const chat = open();
    await chat.sendMessage({ text: "a", system: "be short" });
    await chat.sendMessage({ text: "b", temperature: 0 });
    expect(server.bodies.at(-1)).toEqual({
      model: "m",
      temperature: 0,
      messages: [
        { role: "system", content: "be short" },
        { role: "user", content: "a" },
        { role: "assistant", content: "one" },
        { role: "user", content: "b" },
      ],
    });
  });

  test("that fails says why, and can be made again", async () => {
    const { server, open } = world();
    const errors: string[] = [];
    const chat = open({ onError: (error) => errors.push(error.code) });
    await say(chat, "a");
    server.log.tokens("half").end("error", { code: "stalled", message: "silence", retryable: true, outcome: "stalled" });
    await settle();
    expect(chat.getSnapshot()).toMatchObject({ status: "error", error: { code: "stalled", retryable: true } });
    expect(last(chat)).toMatchObject({ text: "half", outcome: "stalled" });
    expect(errors).toEqual(["stalled"]);
    void chat.regenerate();
    await settle();
    server.log.tokens("whole").done();
    await settle();
    expect(chat.getSnapshot()).toMatchObject({ status: "ready", error: null });
    expect(last(chat).text).toBe("whole");
    expect(chat.getSnapshot().siblings.get(last(chat).id)).toHaveLength(2);
    expect(server.bodies.at(-1)).toMatchObject({ parent: chat.getSnapshot().messages[0]!.id });
    expect(server.bodies.at(-1)).not.toHaveProperty("message");
  });

  test("that is refused is not asked for again by itself, and its message is sent with the next attempt", async () => {
    const { server, clock, storage, open } = world();
    server.refusals = [{ status: 404, code: "model_not_found" }];
    const chat = open();
    await chat.sendMessage({ text: "a" });
    expect(chat.getSnapshot()).toMatchObject({ status: "error", error: { status: 404, code: "model_not_found" } });
    chat.reattach();
    await clock.advance(60_000);
    expect(server.posts).toBe(1);
    expect(storage.kept.size).toBe(0);
    void chat.regenerate({ model: "other" });
    await settle();
    expect(server.bodies.at(-1)).toMatchObject({ model: "other", message: { text: "a" }, parent: null });
  });

  test("thinks, calls tools and tells what was used", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.write("reasoning", { text: "hm" }).write("unheard_of", { text: "x" }).write("token", { text: "no", index: 1 });
    await settle();
    expect(last(chat)).toMatchObject({ phase: "thinking", reasoning: "hm", text: "" });
    server.log.write("tool_call", { index: 0, id: "c", name: "f" }).write("tool_call", { index: 0, arguments: '{"a"' });
    server.log.write("tool_call", { index: 0, arguments: ":1}" }).done("tool_calls");
    await settle();
    expect(last(chat)).toMatchObject({ outcome: "tool_calls", usage: { output_tokens: 2 } });
    expect(last(chat).toolCalls).toEqual([{ id: "c", name: "f", arguments: '{"a":1}' }]);
  });
});

test("after an answer that was refused, the next message follows what the server keeps", async () => {
  const { server, open } = world();
  server.onBegin = (log) => log.tokens("fine").done();
  const chat = open();
  await chat.sendMessage({ text: "a" });
  const kept = last(chat).id;
  server.refusals = [{ status: 400, code: "request_above_limit" }];
  await chat.sendMessage({ text: "too long" });
  await chat.sendMessage({ text: "shorter" });
  expect(server.bodies.at(-1)).toMatchObject({ parent: kept, message: { text: "shorter" } });
  expect(chat.getSnapshot()).toMatchObject({ status: "ready", error: null });
  expect(chat.getSnapshot().messages.map(({ text }) => text)).toEqual(["a", "fine", "shorter", "fine"]);
});

describe("the snapshot", () => {
  test("keeps the identity of what has not changed", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("one");
    await settle();
    const before = chat.getSnapshot();
    expect(chat.getSnapshot()).toBe(before);
    server.log.tokens(" two");
    await settle();
    const after = chat.getSnapshot();
    expect(after.messages[0]).toBe(before.messages[0]);
    expect(after.messages[1]).not.toBe(before.messages[1]);
    expect(after.siblings).toBe(before.siblings);
    expect(before.messages[1]!.text).toBe("one");
    chat.queue("next");
    expect(chat.getSnapshot().messages).toBe(after.messages);
  });

  test("counts seconds of silence and of thinking apart, once a second", async () => {
    const { server, clock, open } = world();
    const chat = open();
    await say(chat, "a");
    let told = 0;
    chat.subscribe(() => (told += 1));
    await clock.advance(12_000);
    expect(told).toBe(12);
    server.log.keepalive();
    await settle();
    await clock.advance(3_000);
    expect(chat.getSnapshot()).toMatchObject({ silentFor: 3, thinkingFor: 15 });
    server.log.tokens("a").done();
    await settle();
    told = 0;
    await clock.advance(5_000);
    expect(told).toBe(0);
    expect(chat.getSnapshot()).toMatchObject({ silentFor: 0, thinkingFor: 0 });
  });

  test("takes 200,000 characters in 20,000 tokens, and makes one message of them", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    const read = [...server.log.readers][0]!;
    let blocks = "";
    for (let at = 2; at < 20_002; at++) blocks += `id: ${server.log.epoch}:${at}\nevent: token\ndata: {"text":"0123456789"}\n\n`;
    read(blocks);
    await settle();
    expect(last(chat).text).toHaveLength(200_000);
  });
});

describe("branches", () => {
  test("an edit is a sibling, and both can be shown", async () => {
    const { server, open } = world();
    server.onBegin = (log) => log.tokens(`answer ${server.accepted}`).done();
    const chat = open();
    await chat.sendMessage({ text: "first" });
    await chat.sendMessage({ text: "second" });
    const [first] = chat.getSnapshot().messages;
    await chat.edit(first!.id, "another first");
    const texts = () => chat.getSnapshot().messages.map(({ text }) => text);
    expect(texts()).toEqual(["another first", "answer 3"]);
    expect(chat.getSnapshot().siblings.get(first!.id)).toHaveLength(2);
    chat.branch(first!.id);
    expect(texts()).toEqual(["first", "answer 1", "second", "answer 2"]);
    await settle();
    expect(server.conversations.get("chat0001")!.conversation.leaf).toBe(last(chat).id);
  });

  test("two models answer one message at once", async () => {
    const { server, open } = world();
    const chat = open();
    const both = chat.compare("which?", ["a", "b"]);
    await settle();
    expect(server.posts).toBe(2);
    const { messages, siblings } = chat.getSnapshot();
    expect(messages.map(({ model }) => model)).toEqual([null, "a"]);
    expect(siblings.get(messages[1]!.id)).toHaveLength(2);
    server.logs[1]!.tokens("B").done();
    server.logs[0]!.tokens("A").done();
    expect((await both).map((answer) => answer?.text)).toEqual(["A", "B"]);
    await settle();
    expect(server.conversations.get("chat0001")!.messages.filter(({ role }) => role === "user")).toHaveLength(1);
    expect(server.conversations.get("chat0001")!.conversation.leaf).toBe(messages[1]!.id);
  });
});

describe("the queue", () => {
  test("is sent one by one as answers end, as it is then", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    const b = chat.queue("b");
    const c = chat.queue("c");
    expect(await chat.sendMessage({ text: "d" })).toBeNull();
    chat.editQueued(b, "B");
    chat.removeQueued(c);
    expect(server.posts).toBe(1);
    server.log.tokens("1").done();
    await settle();
    expect(chat.getSnapshot().queued.map(({ text }) => text)).toEqual(["d"]);
    expect(chat.getSnapshot().messages.map(({ text }) => text)).toEqual(["a", "1", "B", ""]);
    server.log.tokens("2").done();
    await settle();
    expect(server.bodies.map((body) => (body as { message: { text: string } }).message.text)).toEqual(["a", "B", "d"]);
  });

  test("waits for the person after an error", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    chat.queue("b");
    server.log.end("error", { code: "upstream_error", message: "no", retryable: true, outcome: "upstream_error" });
    await settle();
    expect(server.posts).toBe(1);
    void chat.regenerate();
    await settle();
    server.log.tokens("x").done();
    await settle();
    expect(server.posts).toBe(3);
  });
});

describe("what the server keeps", () => {
  test("is adopted at a reload, and what is still coming is followed from its beginning", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("one ");
    await settle();
    chat.detach();
    const again = open();
    await again.resume();
    await settle();
    server.log.tokens("two");
    await settle();
    expect(again.getSnapshot()).toMatchObject({ status: "streaming" });
    expect(again.getSnapshot().messages.map(({ text }) => text)).toEqual(["a", "one two"]);
    server.log.done();
    await settle();
    expect(last(again)).toMatchObject({ text: "one two", outcome: "completed", timing: null });
    expect(server.posts).toBe(1);
  });

  test("leaves an answer alone that is being followed, and messages that are the same", async () => {
    const { server, open } = world();
    server.onBegin = (log) => server.accepted === 1 && log.tokens("one").done();
    const chat = open();
    await chat.sendMessage({ text: "a" });
    await say(chat, "b");
    server.log.tokens("tw");
    await settle();
    const before = chat.getSnapshot();
    const kept = structuredClone(server.conversations.get("chat0001")!);
    Object.assign(kept.messages[1]!, { text: "one", state: "ended", outcome: "completed", usage: before.messages[1]!.usage });
    chat.load(kept);
    await settle();
    expect(chat.getSnapshot().messages).toEqual(before.messages);
    expect(chat.getSnapshot().messages[1]).toBe(before.messages[1]);
    server.log.tokens("o").done();
    await settle();
    expect(last(chat).text).toBe("two");
  });

  test("brings the timing of an answer whose beginning was not seen", async () => {
    const { server, open } = world();
    await say(open(), "a");
    const chat = open();
    await chat.resume();
    server.log.tokens("x").done();
    await settle();
    const kept = structuredClone(server.conversations.get("chat0001")!);
    const timing = { first_token: 0.5, total: 2, tokens_per_second: 20 };
    Object.assign(kept.messages[1]!, { text: "x", state: "ended", outcome: "completed", timing });
    chat.load(kept);
    expect(chat.getSnapshot().timing).toEqual({ ttftMs: 500, totalMs: 2000, tokensPerSecond: 20 });
  });

  test("setMessages replaces everything", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    chat.setMessages([]);
    server.log.tokens("late");
    await settle();
    expect(chat.getSnapshot()).toMatchObject({ messages: [], status: "ready", leaf: null });
  });
});
