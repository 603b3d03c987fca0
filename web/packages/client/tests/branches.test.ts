// Where a message goes, who answers it, and when it is sent: over several pages, refusals, reloads and deletions.

import { describe, expect, test } from "vitest";
import { createChat } from "../src/index.ts";
import { last, say, Storage, world } from "./setup.ts";
import { settle } from "./time.ts";

test("what is queued outlives a reload of its page, and is sent once", async () => {
  const { server, open } = world();
  const session = new Storage();
  const first = open({ session });
  await say(first, "a");
  first.queue("b", { model: "other" });
  first.detach();
  const again = open({ session });
  const copied = open({ session: Object.assign(new Storage(), { kept: new Map(session.kept) }) });
  expect(again.getSnapshot().queued.map(({ text }) => text)).toEqual(["b"]);
  await again.resume();
  await copied.resume();
  expect(server.posts).toBe(1);
  server.log.tokens("fine").done();
  server.keepText();
  Object.assign(server.conversations.get("chat0001")!.messages[1]!, { state: "ended", outcome: "completed" });
  await settle();
  expect(server.accepted).toBe(2);
  expect(server.bodies.at(-1)).toMatchObject({ model: "other", message: { text: "b" } });
  server.log.tokens("too").done();
  await settle();
  expect(last(again)).toMatchObject({ text: "too" });
  expect(last(copied)).toMatchObject({ text: "too" });
  expect(session.kept.size).toBe(0);
});

test("another page that heard of an answer which was refused after all asks below its question", async () => {
  const { server, open } = world();
  const first = open();
  await say(first, "a");
  const second = open();
  await second.resume();
  const { messages } = server.conversations.get("chat0001")!;
  const [question] = messages;
  messages.pop(); // withdrawn
  server.logs.pop();
  server.cut();
  await settle();
  server.attachStatus = 404;
  await second.resume();
  second.stop();
  await settle();
  await second.resume();
  server.attachStatus = null;
  await say(second, "b");
  expect(server.bodies.at(-1)).toMatchObject({ parent: question!.id, message: { text: "b" } });
});

test("after two answers of which one was refused the conversation goes on from the other", async () => {
  const { server, open } = world();
  server.onBegin = (log) => log.tokens("fine").done();
  const chat = open();
  server.refusals = [{ status: 502, code: "upstream_failed" }];
  const [left, right] = await chat.compare("a", ["left", "right"]);
  expect([left!.outcome, right!.outcome]).toEqual(["upstream_failed", "completed"]);
  await chat.sendMessage({ text: "b" });
  expect(server.bodies.at(-1)).toMatchObject({ parent: right!.id });
  expect(chat.getSnapshot().messages.map(({ text }) => text)).toEqual(["a", "fine", "b", "fine"]);
});

test("what was said here stays in sight when another page goes on in another branch", async () => {
  const { server, open } = world();
  server.onBegin = (log) => log.tokens("fine").done();
  const here = open();
  const there = open();
  await here.sendMessage({ text: "a" });
  await there.resume();
  await there.edit(there.getSnapshot().messages[0]!.id, "a, but better");
  for (const message of server.conversations.get("chat0001")!.messages) {
    if (message.role === "assistant") Object.assign(message, { state: "ended", outcome: "completed", text: "fine" });
  }
  await here.resume();
  expect(here.getSnapshot().messages.map(({ text }) => text)).toEqual(["a", "fine"]);
  expect(here.getSnapshot().siblings.get(here.getSnapshot().messages[0]!.id)).toHaveLength(2);
  await there.sendMessage({ text: "and on" });
  await there.resume();
  expect(there.getSnapshot().messages).toHaveLength(4);
});

describe("who answers", () => {
  test("is chosen when a message is queued, not when it is sent", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    void chat.sendMessage({ text: "b", model: "second", system: "be short" });
    void chat.compare("c", ["left", "right"]);
    void chat.sendMessage({ text: "d", model: "third", system: undefined });
    const models = () => (server.bodies as { model: string; system?: string }[]).map(({ model, system }) => `${model} ${system ?? ""}`.trim());
    for (let turn = 0; turn < 4; turn++) {
      for (const log of server.logs) if (!log.ended) log.tokens("fine").done();
      await settle();
    }
    expect(models()).toEqual(["m", "second be short", "left be short", "right be short", "third"]);
  });

  test("is who answered before, where nobody is named", async () => {
    const { server, open, options } = world();
    server.onBegin = (log) => log.tokens("fine").done();
    const first = open({ model: "named" });
    await first.sendMessage({ text: "a" });
    const { model: _, ...nobody } = options();
    const chat = createChat(nobody);
    await chat.resume();
    await chat.edit(chat.getSnapshot().messages[0]!.id, "b");
    await chat.sendMessage({ text: "c" });
    expect((server.bodies as { model: string }[]).map(({ model }) => model)).toEqual(["named", "named", "named"]);
  });
});

test("a conversation that the server does not have is missing; one that is only begun here is not", async () => {
  const { server, open } = world();
  const unknown = open();
  await unknown.resume();
  expect(unknown.getSnapshot()).toMatchObject({ missing: true, messages: [] });
  server.onBegin = (log) => log.tokens("fine").done();
  await unknown.sendMessage({ text: "a" });
  expect(unknown.getSnapshot().missing).toBe(false);
  await unknown.resume();
  expect(unknown.getSnapshot().missing).toBe(false);
  server.conversations.clear(); // deleted, by another page
  await unknown.resume();
  expect(unknown.getSnapshot().missing).toBe(true);
  expect(unknown.getSnapshot().messages).toHaveLength(2);
  const offline = open({ id: "chat0002" });
  server.down = true;
  void offline.sendMessage({ text: "b" });
  await settle();
  expect(offline.getSnapshot().missing).toBe(false);
});
