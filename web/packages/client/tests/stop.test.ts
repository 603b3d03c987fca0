// Stop is stop: here at once, at the server as soon as it can be heard, at what was shown.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { COMPLETE, last, say, whole, WORDS, world } from "./setup.ts";
import { settle } from "./time.ts";

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

  test("ends what is coming, and the next of what is queued begins", async () => {
    const { server, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("one ");
    await settle();
    chat.queue("b");
    chat.queue("c");
    chat.stop();
    await settle();
    expect(server.accepted).toBe(2);
    expect(chat.getSnapshot().queued.map(({ text }) => text)).toEqual(["c"]);
    expect(last(chat)).toMatchObject({ state: "streaming", outcome: null });
    server.log.tokens("two").done();
    await settle();
    expect(chat.getSnapshot().messages.map(({ text, outcome }) => [text, outcome])).toEqual([
      ["a", null], ["one ", "cancelled"], ["b", null], ["two", "completed"], ["c", null], ["", null],
    ]);
  });
});
