// What happens to the connection, and what the answer is in the end: always the same.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Log, Path } from "./server.ts";
import { last, say, world } from "./setup.ts";
import { settle } from "./time.ts";

const WORDS = ["The ", "Rhine 🦦", " is ", "1,230", " km ", "long."];
const whole = (log: Log) => log.write("reasoning", { text: "hm" }).tokens(...WORDS).done();

/** Ask, with the network as bad as that, and go on until the answer has ended. */
async function answered(paths: Path[], { stateless = false } = {}) {
  const here = world({ stateless });
  const { server, clock } = here;
  server.onBegin = whole;
  server.paths = [...paths];
  const chat = here.open();
  await say(chat, "a");
  for (let turn = 0; turn < 200 && last(chat).state === "streaming"; turn++) await clock.advance(5_000);
  return { ...here, chat };
}

const COMPLETE = { text: WORDS.join(""), reasoning: "hm", outcome: "completed", state: "ended", error: null };

describe("exactly once", () => {
  test("the network is cut after every byte of the log", async () => {
    const { server } = await answered([]);
    const bytes = new TextEncoder().encode(server.log.entries.map(({ text }) => text).join("")).length;
    expect(bytes).toBeGreaterThan(500);
    for (let at = 1; at < bytes; at++) {
      for (const clean of [false, true]) {
        const { chat, server } = await answered([{ bytes: at, clean }]);
        expect(last(chat)).toMatchObject(COMPLETE);
        expect(server.posts).toBe(1);
        expect(server.requests.length).toBeGreaterThan(1);
      }
    }
  }, 60_000);

  test("it is cut again and again, anywhere, in chunks of any size", async () => {
    const path = fc.record({ bytes: fc.integer({ min: 1, max: 400 }), chunk: fc.integer({ min: 1, max: 90 }), clean: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(path, { maxLength: 12 }), fc.boolean(), async (paths, stateless) => {
        const { chat, server } = await answered(paths, { stateless });
        expect(last(chat)).toMatchObject(COMPLETE);
        expect(server.accepted).toBe(1);
        expect(server.posts).toBe(1);
      }),
      { numRuns: 150 },
    );
  }, 60_000);

  test("blocks that come twice, and late, are taken once", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("one ", "two ");
    for (const { text } of [...server.log.entries].reverse()) for (const read of server.log.readers) read(text);
    server.log.tokens("three");
    await settle();
    expect(last(chat).text).toBe("one two three");
  });

  test("questions whose answers get lost are sent again with the same key, and answered once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 3 }), fc.boolean(), async (deaf, stateless) => {
        const { server, clock, storage, open } = world({ stateless });
        server.onBegin = whole;
        server.deaf = deaf;
        const chat = open();
        await say(chat, "a");
        expect(storage.kept.size).toBe(deaf > 0 ? 1 : 0);
        await clock.advance(60_000);
        expect(last(chat)).toMatchObject(COMPLETE);
        expect(server.posts).toBe(deaf + 1);
        expect(server.accepted).toBe(1);
        expect(storage.kept.size).toBe(0);
      }),
    );
  });

  test("a log with another name begins anew", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("old words");
    await settle();
    for (const read of server.log.readers) {
      read('id: other:1\nevent: token\ndata: {"text":"new"}\n\n');
      read('id: other:2\nevent: done\ndata: {"outcome":"completed"}\n\n');
    }
    await settle();
    expect(last(chat)).toMatchObject({ text: "new", outcome: "completed" });
  });

  test("a reader that fell behind attaches again; the answer has not ended", async () => {
    const { server, clock, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("one ");
    for (const read of server.log.readers) {
      read(`id: ${server.log.epoch}:9\nevent: error\ndata: {"code":"slow_reader","message":"","retryable":true,"outcome":"interrupted"}\n\n`);
    }
    server.log.tokens("two");
    await clock.advance(2_000);
    server.log.done();
    await settle();
    expect(last(chat)).toMatchObject({ text: "one two", outcome: "completed" });
  });
});

describe("a connection", () => {
  test("that is lost is made again, and the page says so", async () => {
    const { server, clock, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("one ");
    await settle();
    server.down = true;
    server.cut();
    await settle();
    const first = chat.getSnapshot().connection;
    expect(first).toEqual({ state: "reconnecting", attempt: 1, retryAt: clock.now() + 375 });
    await clock.advance(400);
    expect(chat.getSnapshot().connection).toMatchObject({ state: "reconnecting", attempt: 2 });
    await clock.advance(120_000);
    expect(last(chat)).toMatchObject({ text: "one ", state: "streaming" });
    server.down = false;
    server.log.tokens("two");
    await clock.advance(15_000);
    expect(chat.getSnapshot()).toMatchObject({ connection: { state: "live" }, status: "streaming" });
    expect(last(chat).text).toBe("one two");
    expect(server.posts).toBe(1);
    expect(server.positions).toEqual([`${server.log.epoch}:2`]); // what was seen is not sent again
  });

  test("that is silent for 30 seconds is dead; keepalives keep it", async () => {
    const { server, clock, open } = world();
    const chat = open();
    await say(chat, "a");
    for (let turn = 0; turn < 5; turn++) {
      await clock.advance(15_000);
      server.log.keepalive();
      await settle();
    }
    expect(server.requests).toHaveLength(1);
    await clock.advance(29_000);
    expect(server.requests).toHaveLength(1);
    await clock.advance(2_000);
    expect(server.requests).toEqual([expect.stringContaining("POST"), `GET /v1/streams/${server.log.stream}`]);
  });

  test("that may be dead is looked at when the page is shown again", async () => {
    const { server, clock, around, open } = world();
    const chat = open();
    await say(chat, "a");
    around.tell("back");
    await clock.advance(1_000);
    expect(server.requests).toHaveLength(1);
    await clock.advance(24_000);
    around.tell("back");
    await clock.advance(1_000);
    expect(server.requests).toHaveLength(2);
    expect(chat.getSnapshot().connection).toEqual({ state: "live" });
  });

  test("a question without any head yet is given two minutes, and is then sent with the same key", async () => {
    const { server, clock, open } = world();
    let letGo = () => {};
    server.gate = new Promise((resolve) => (letGo = resolve));
    const chat = open();
    await say(chat, "a");
    await clock.advance(119_000);
    expect(server.posts).toBe(1);
    await clock.advance(3_000);
    expect(server.posts).toBe(2);
    letGo();
    server.onBegin = whole;
    await settle();
    expect(last(chat)).toMatchObject(COMPLETE);
    expect(server.accepted).toBe(1);
  });

  test("questions are sent again three times and no more, by themselves", async () => {
    const { server, clock, storage, around, open } = world();
    server.down = true;
    const chat = open();
    await say(chat, "a");
    await clock.advance(300_000);
    expect(server.requests).toHaveLength(4);
    expect(chat.getSnapshot()).toMatchObject({ status: "error", error: { code: "unreachable", retryable: true } });
    expect(last(chat).outcome).toBe("unsent");
    expect(storage.kept.size).toBe(1);
    server.down = false;
    server.onBegin = whole;
    around.tell("back");
    await settle();
    expect(last(chat)).toMatchObject(COMPLETE);
    expect(chat.getSnapshot()).toMatchObject({ status: "ready", error: null });
    expect(server.accepted).toBe(1);
  });

  test("making an unsent answer again sends the same question", async () => {
    const { server, clock, open } = world();
    server.deaf = 4;
    const chat = open();
    await say(chat, "a");
    await clock.advance(60_000);
    expect(last(chat).outcome).toBe("unsent");
    server.log.tokens("there ").done();
    void chat.regenerate();
    await settle();
    expect(last(chat)).toMatchObject({ text: "there ", outcome: "completed" });
    expect(server.accepted).toBe(1);
    expect(chat.getSnapshot().all).toHaveLength(2);
  });

  test.each([502, 503, 504])("a %i of something on the way passes, before and after", async (status) => {
    const { server, clock, open } = world();
    server.refusals = [{ status }];
    server.onBegin = (log) => log.tokens("one");
    server.paths = [{ bytes: 60 }];
    server.attachStatus = status;
    const chat = open();
    await say(chat, "a");
    await clock.advance(30_000);
    expect(last(chat).state).toBe("streaming");
    server.attachStatus = null;
    server.log.done();
    await clock.advance(15_000);
    expect(last(chat)).toMatchObject({ text: "one", outcome: "completed" });
    expect(server.accepted).toBe(1);
  });

  test("something that buffers is told of", async () => {
    const { server, clock, open } = world();
    const chat = open();
    await say(chat, "a");
    for (let burst = 0; burst < 3; burst++) {
      await clock.advance(2_000);
      for (const read of server.log.readers) {
        read(Array.from({ length: 20 }, (_, at) => `id: ${server.log.epoch}:${2 + burst * 20 + at}\nevent: token\ndata: {"text":"x"}\n\n`).join(""));
      }
      await settle();
    }
    expect(chat.getSnapshot().buffering).toBe(true);
    for (let token = 70; token < 120; token++) {
      await clock.advance(20);
      for (const read of server.log.readers) read(`id: ${server.log.epoch}:${token}\nevent: token\ndata: {"text":"x"}\n\n`);
      await settle();
    }
    expect(chat.getSnapshot().buffering).toBe(false);
  });
});

describe("a server that is busy", () => {
  test("is waited for as long as it says, with a countdown", async () => {
    const { server, clock, around, open } = world();
    server.refusals = [{ status: 429, code: "rate_limit_exceeded", retryAfter: 20 }];
    const chat = open();
    await say(chat, "a");
    expect(chat.getSnapshot()).toMatchObject({
      status: "submitted",
      connection: { state: "rate-limited", retryAt: clock.now() + 20_000 },
    });
    await clock.advance(19_000);
    around.tell("back");
    await settle();
    expect(server.posts).toBe(1);
    server.onBegin = whole;
    await clock.advance(1_000);
    expect(server.posts).toBe(2);
    expect(last(chat)).toMatchObject(COMPLETE);
  });

  test("is not waited for more than three times, nor for an hour", async () => {
    const busy = { status: 503, code: "upstream_unavailable", retryAfter: 5 };
    const { server, clock, open } = world();
    server.refusals = [busy, busy, busy, busy];
    const chat = open();
    await say(chat, "a");
    await clock.advance(60_000);
    expect(server.posts).toBe(4);
    expect(chat.getSnapshot()).toMatchObject({ status: "error", error: { status: 503, code: "upstream_unavailable" } });
    server.refusals = [{ status: 429, code: "quota_exceeded", retryAfter: 3600 }];
    await chat.regenerate();
    expect(chat.getSnapshot().error).toMatchObject({ code: "quota_exceeded", retryAfter: 3600 });
    expect(server.accepted).toBe(0);
  });

  test("can be told to forget it while it is waited for", async () => {
    const { server, clock, storage, open } = world();
    server.refusals = [{ status: 429, code: "rate_limit_exceeded", retryAfter: 20 }];
    const chat = open();
    await say(chat, "a");
    chat.stop();
    await clock.advance(60_000);
    expect(server.posts).toBe(1);
    expect(last(chat).outcome).toBe("cancelled");
    expect(storage.kept.size).toBe(0);
  });
});

describe("stop", () => {
  test("before the server has accepted: stopped here at once, and there as soon as it can be", async () => {
    const { server, open } = world();
    let letGo = () => {};
    server.gate = new Promise((resolve) => (letGo = resolve));
    const chat = open();
    await say(chat, "a");
    chat.stop();
    expect(chat.getSnapshot()).toMatchObject({ status: "ready", connection: { state: "idle" } });
    letGo();
    await settle();
    expect(server.cancels).toEqual([{ stream: server.log.stream, seen: 0 }]);
    expect(server.log.outcome).toBe("cancelled");
    expect(last(chat)).toMatchObject({ text: "", outcome: "cancelled" });
  });

  test("before the first word: what the server keeps tells what to cancel", async () => {
    const { server, open } = world();
    let say = () => {};
    server.head = new Promise((resolve) => (say = resolve));
    const chat = open();
    void chat.sendMessage({ text: "a" });
    await settle();
    expect(server.accepted).toBe(1);
    chat.stop();
    await settle();
    expect(server.cancels).toEqual([{ stream: server.log.stream, seen: 0 }]);
    say();
    await settle();
    expect(last(chat)).toMatchObject({ text: "", outcome: "cancelled" });
    expect(server.posts).toBe(1);
  });

  test("while it comes: what was shown is what is kept, here and there", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("shown ");
    await settle();
    expect(last(chat).text).toBe("shown ");
    server.log.tokens("not shown");
    await settle();
    chat.stop();
    expect(last(chat)).toMatchObject({ text: "shown ", outcome: "cancelled", state: "ended" });
    await settle();
    expect(server.cancels).toEqual([{ stream: server.log.stream, seen: 2 }]);
    expect(server.log.text).toBe("shown ");
    expect(last(chat).text).toBe("shown ");
    expect(server.log.readers.size).toBe(0);
  });

  test("is repeated until the server has heard it", async () => {
    const { server, clock, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("x");
    await settle();
    server.down = true;
    chat.stop();
    await clock.advance(1_200);
    server.down = false;
    await clock.advance(10_000);
    expect(server.cancels).toHaveLength(1);
    expect(server.log.outcome).toBe("cancelled");
  });

  test("after the end: nothing", async () => {
    const { server, open } = world();
    server.onBegin = whole;
    const chat = open();
    await chat.sendMessage({ text: "a" });
    chat.stop();
    await settle();
    expect(server.cancels).toEqual([]);
    expect(last(chat)).toMatchObject(COMPLETE);
  });

  test("of an answer that had ended meanwhile: shown as it is kept", async () => {
    const { server, clock, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("all ");
    await settle();
    expect(last(chat).text).toBe("all ");
    server.down = true;
    server.cut();
    server.log.tokens("of it").done();
    await settle();
    server.down = false;
    chat.stop();
    expect(last(chat)).toMatchObject({ text: "all ", outcome: "cancelled" });
    await clock.advance(5_000);
    expect(last(chat)).toMatchObject({ text: "all of it", outcome: "completed" });
  });

  test("by somebody else: the text goes back to what they had seen", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 8 }), async (seen) => {
        const { server, open } = world();
        const chat = open();
        await say(chat, "a");
        server.log.tokens(...WORDS);
        await settle();
        server.log.cancel(seen);
        await settle();
        expect(last(chat)).toMatchObject({ text: WORDS.slice(0, Math.max(0, seen - 1)).join(""), outcome: "cancelled" });
      }),
    );
  });
});

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
