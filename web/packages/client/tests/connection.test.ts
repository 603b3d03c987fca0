// What happens to the connection, and what the answer is in the end: always the same.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Path } from "./server.ts";
import { COMPLETE, last, say, whole, world } from "./setup.ts";
import { settle } from "./time.ts";

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
    expect([...storage.kept.keys()]).toEqual(["penstock:outbox:chat0001"]); // the question is kept until the server has it
  });
});
