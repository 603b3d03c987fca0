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
    expect(server.cancels).toEqual([{ stream: last(chat).id, seen: 0 }]); // it was there before the question
    expect(server.accepted).toBe(0);
    expect(last(chat)).toMatchObject({ text: "", outcome: "cancelled" });
  });

  test("before the server has accepted: the next message waits, and follows it", async () => {
    const { server, open } = world();
    let letGo = () => {};
    server.gate = new Promise((resolve) => (letGo = resolve));
    const chat = open();
    await say(chat, "a");
    chat.stop();
    const stopped = last(chat).id;
    await say(chat, "b");
    expect(server.posts).toBe(1);
    server.gate = null;
    letGo();
    await settle();
    expect(server.bodies.at(-1)).toMatchObject({ parent: stopped, message: { text: "b" } });
    expect(chat.getSnapshot().messages.map(({ text }) => text)).toEqual(["a", "", "b", ""]);
  });

  test("before the first word, of which nothing is heard", async () => {
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

  test("is repeated over a line that is down for long, and over a reload", async () => {
    const { server, clock, around, open } = world();
    const chat = open();
    await say(chat, "a");
    server.log.tokens("x");
    await settle();
    server.down = true;
    chat.stop();
    await clock.advance(120_000);
    server.down = false;
    around.tell("back");
    await settle();
    expect(server.log.outcome).toBe("cancelled");

    void chat.regenerate();
    await settle();
    server.log.tokens("y");
    await settle();
    server.down = true;
    chat.stop();
    await settle();
    chat.detach();
    server.down = false;
    const reloaded = open();
    await reloaded.resume();
    await settle();
    expect(server.log.outcome).toBe("cancelled");
    expect(last(reloaded)).toMatchObject({ text: "y", outcome: "cancelled" });
  });

  test("of an answer whose beginning was read from the conversation keeps that", async () => {
    const { server, open } = world();
    const first = open();
    await say(first, "a");
    server.log.tokens("one ", "two ");
    await settle();
    server.keepText(); // what the conversation says of it, by now
    const second = open();
    await second.resume();
    expect(last(second).text).toBe("one two ");
    second.stop();
    await settle();
    expect(server.cancels).toEqual([{ stream: server.log.stream, seen: 3 }]);
    expect(server.log.text).toBe("one two ");
    expect(last(second)).toMatchObject({ text: "one two ", outcome: "cancelled" });
  });

  test("of an answer of which only the text is known says no offset: all of it stays", async () => {
    const { server, open } = world();
    await say(open(), "a");
    server.log.tokens("one ", "two ");
    server.keepText(false);
    const chat = open();
    server.attachStatus = 503;
    await chat.resume();
    expect(last(chat).text).toBe("one two ");
    chat.stop();
    await settle();
    expect(server.cancels).toEqual([{ stream: server.log.stream, seen: null }]);
    expect(server.log.text).toBe("one two ");
  });

  test("by somebody who had seen less than was read from the conversation: the log is read from its beginning", async () => {
    const { server, clock, open } = world();
    await say(open(), "a");
    server.log.tokens("one ", "two ", "three ");
    server.keepText();
    const chat = open();
    await chat.resume();
    expect(last(chat).text).toBe("one two three ");
    server.log.cancel(2);
    await settle();
    for (let turn = 0; turn < 5; turn++) await clock.advance(1_000);
    expect(last(chat)).toMatchObject({ outcome: "cancelled" });
    expect(last(chat).text).toBe("one ");
  });

  test("of a question that could not be sent keeps the question, also over a reload", async () => {
    const { server, open } = world();
    server.down = true;
    const chat = open();
    await say(chat, "an hour of writing");
    chat.stop();
    await settle();
    chat.detach();
    const id = last(chat).id;
    server.down = false;
    const reloaded = open();
    await reloaded.resume();
    await settle();
    expect(server.requests.findLastIndex((path) => path.endsWith("/cancel"))).toBeLessThan(
      server.requests.findLastIndex((path) => path.endsWith("/answers")),
    );
    expect(server.stopped).toContain(id);
    expect(server.accepted).toBe(0);
    expect(reloaded.getSnapshot().messages[0]).toMatchObject({ text: "an hour of writing" });
  });

  test("and then again: another answer is asked for, with the question", async () => {
    const { server, clock, open } = world();
    server.refusals = [{ status: 429, code: "rate_limit_exceeded", retryAfter: 20 }];
    const chat = open();
    await say(chat, "a");
    expect(chat.getSnapshot().connection.state).toBe("rate-limited");
    chat.stop();
    await settle();
    void chat.regenerate();
    await settle();
    expect(server.accepted).toBe(1);
    expect(server.bodies.at(-1)).toMatchObject({ message: { text: "a" } });
    server.log.tokens("fine").done();
    await clock.advance(0);
    expect(last(chat)).toMatchObject({ text: "fine", outcome: "completed" });
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
