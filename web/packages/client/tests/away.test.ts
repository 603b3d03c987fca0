// Servers that restart, pages that are offline, left, or loaded again: nothing is lost, and nothing asked twice.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { COMPLETE, last, say, whole, WORDS, world } from "./setup.ts";
import { settle } from "./time.ts";

describe("a server that restarts", () => {
  test.each([404, 410])("shows the stored answer, interrupted, after a %i", async (status) => {
    const { server, clock, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("half of ");
    await settle();
    server.down = true;
    server.log.tokens("it");
    server.restart();
    await clock.advance(40_000);
    expect(last(chat)).toMatchObject({ state: "streaming" });
    server.down = false;
    if (status === 410) server.attachStatus = 410;
    await clock.advance(20_000);
    expect(last(chat)).toMatchObject({ text: "half of it", outcome: "interrupted", state: "ended" });
    expect(server.posts).toBe(1);
  });

  test("the conversation is asked for until the server is there", async () => {
    const { server, clock, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("half");
    await settle();
    let refused = 0;
    const kept = server.conversations;
    server.restart();
    server.conversations = new Proxy(kept, {
      get(target, name) {
        if (name === "get" && refused++ < 5) throw new TypeError("Load failed");
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? (value as () => unknown).bind(target) : value;
      },
    });
    await clock.advance(60_000);
    expect(refused).toBeGreaterThan(5);
    expect(last(chat)).toMatchObject({ text: "half", outcome: "interrupted" });
  });

  test("without a conversation there, what arrived stays", async () => {
    const { server, clock, open } = world({ stateless: true });
    const chat = open();
    await say(chat, "a");
    server.log.tokens("half");
    await settle();
    server.restart();
    await clock.advance(20_000);
    expect(last(chat)).toMatchObject({ text: "half", outcome: "interrupted", error: { code: "stream_not_found" } });
    expect(chat.getSnapshot().status).toBe("error");
  });

  test("and lost the answer to a question: the question finds what is stored, and is not answered twice", async () => {
    const { server, clock, open } = world();
    server.deaf = 1;
    const chat = open();
    await say(chat, "a");
    server.log.tokens("some");
    server.restart();
    await clock.advance(20_000);
    expect(last(chat)).toMatchObject({ text: "some", outcome: "interrupted" });
    expect(server.accepted).toBe(1);
  });
});

describe("offline", () => {
  test("what is written is kept, and sent once when the network is back", async () => {
    const { server, clock, storage, around, open } = world();
    around.online = false;
    server.down = true;
    const chat = open();
    await say(chat, "a");
    expect(chat.getSnapshot()).toMatchObject({ status: "submitted", connection: { state: "offline" } });
    await clock.advance(3_600_000);
    expect(last(chat).state).toBe("streaming");
    expect(storage.kept.size).toBe(1);
    around.online = true;
    server.down = false;
    server.onBegin = whole;
    around.tell("back");
    await settle();
    expect(server.posts).toBe(1);
    expect(last(chat)).toMatchObject(COMPLETE);
    expect(storage.kept.size).toBe(0);
    expect(around.hear.size).toBe(0);
  });

  test("it is sent once across reloads, wherever they fall", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("offline", "online", "deaf", "reload", "two pages"), { maxLength: 8 }),
        fc.boolean(),
        async (story, stateless) => {
          const { server, clock, around, open } = world({ stateless });
          server.onBegin = whole;
          around.online = false;
          server.down = true;
          let chat = open();
          await say(chat, "a");
          for (const happens of [...story, "online", "reload"]) {
            if (happens === "offline" || happens === "online") {
              around.online = happens === "online";
              server.down = !around.online;
              around.tell(around.online ? "back" : "offline");
            } else if (happens === "deaf") {
              server.deaf = 1;
            } else {
              if (happens === "reload") chat.detach();
              chat = open();
              void chat.resume();
            }
            await clock.advance(1_000);
          }
          await clock.advance(60_000);
          expect(server.accepted).toBe(1);
          expect(server.log.text).toBe(WORDS.join(""));
          if (!stateless) {
            expect(chat.getSnapshot().messages.map(({ text }) => text)).toEqual(["a", WORDS.join("")]);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

test("leaving closes the connection, and nothing is told any more; coming back goes on", async () => {
  const { server, clock, around, open } = world();
  const chat = open();
  await say(chat, "a");
  server.log.tokens("one ");
  await settle();
  chat.detach();
  await settle();
  expect(server.log.readers.size).toBe(0);
  expect(server.cancels).toEqual([]);
  expect(around.hear.size).toBe(0);
  expect(clock.pending).toBe(0);
  server.log.tokens("two");
  chat.reattach();
  chat.detach();
  chat.reattach();
  await clock.advance(1_000);
  expect(server.log.readers.size).toBe(1);
  expect(last(chat).text).toBe("one two");
  expect(server.posts).toBe(1);
});

describe("a reload", () => {
  test("that can't reach the server loads when the network is back", async () => {
    const { server, around, open } = world();
    server.onBegin = whole;
    await open().sendMessage({ text: "a" });
    const chat = open();
    server.down = true;
    await chat.resume();
    expect(chat.getSnapshot()).toMatchObject({ status: "error", error: { code: "unreachable" }, messages: [] });
    server.down = false;
    around.tell("back");
    await settle();
    expect(chat.getSnapshot()).toMatchObject({ status: "ready", error: null });
    expect(last(chat)).toMatchObject({ text: WORDS.join("") });
  });

  test("that is left before the conversation came follows nothing", async () => {
    const { server, clock, open } = world();
    await say(open(), "a");
    const chat = open();
    const resumed = chat.resume();
    chat.detach();
    await resumed;
    await settle();
    expect(server.log.readers.size).toBe(1);
    expect(chat.getSnapshot().messages).toEqual([]);
    await clock.advance(0);
  });
});
