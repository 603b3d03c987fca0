// The parts that need no server: the reader, positions, the tree, bursts, the outbox.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { browser, Bursts, isAfter, Outbox, parsePosition, SseReader, Tree, type Block, type Page } from "../src/index.ts";
import { Storage } from "./setup.ts";

/** The WHATWG rules again, over the whole input. */
function reference(text: string): Block[] {
  const blocks: Block[] = [];
  let id = "";
  let name = "";
  let data: string[] = [];
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/);
  for (const line of lines.slice(0, -1)) {
    if (line === "") {
      if (data.length) blocks.push({ id, name: name || "message", data: data.join("\n") });
      name = "";
      data = [];
      continue;
    }
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)!;
    if (field === "data") data.push(value ?? "");
    if (field === "event") name = value ?? "";
    if (field === "id" && !(value ?? "").includes("\0")) id = value ?? "";
  }
  return blocks;
}

function readIn(chunks: Uint8Array[]): Block[] {
  const blocks: Block[] = [];
  const reader = new SseReader((block) => blocks.push(block));
  for (const chunk of chunks) reader.feed(chunk);
  return blocks;
}

describe("the reader", () => {
  const line = fc.oneof(
    fc.constantFrom("data: a", "data:b", "data", "id: 1:2", "id", "event: token", ": ping", "retry: 3", "data:  two", "nonsense", ""),
    fc.string({ unit: "grapheme", maxLength: 8 }).map((text) => `data: ${text.replace(/[\r\n]/g, "")}`),
  );
  const input = fc
    .array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r")), { maxLength: 12 })
    .map((lines) => lines.flat().join(""));

  test("reads the same wherever the input is cut once", () => {
    fc.assert(
      fc.property(input, (text) => {
        const bytes = new TextEncoder().encode(text);
        const whole = reference(text);
        for (let at = 0; at <= bytes.length; at++) {
          expect(readIn([bytes.slice(0, at), bytes.slice(at)])).toEqual(whole);
        }
      }),
    );
  });

  test("reads the same byte by byte, with a byte order mark and characters of four bytes", () => {
    const text = "\uFEFFid: e:1\r\nevent: token\r\ndata: 🦦 é\r\r\ndata: x\ndata\n\n: c\n\ndata: unfinished";
    const blocks = readIn([...new TextEncoder().encode(text)].map((byte) => Uint8Array.of(byte)));
    expect(blocks).toEqual(reference(text));
    expect(blocks[0]).toEqual({ id: "e:1", name: "token", data: "🦦 é" });
  });
});

describe("positions", () => {
  test("are ordered by offset and part; a whole entry comes after its parts", () => {
    const ids = ["e:1", "e:2.1", "e:2.2", "e:2.30000002", "e:2", "e:10.1", "e:10"];
    for (const [a, first] of ids.entries()) {
      for (const [b, second] of ids.entries()) {
        expect(isAfter(parsePosition(first)!, parsePosition(second)!)).toBe(a > b);
      }
    }
  });

  test.each(["", "e", "e:", ":1", "e:-1", "e:1.", "e:x", null, undefined])("%j is none", (text) => {
    expect(parsePosition(text)).toBeNull();
  });
});

describe("the tree", () => {
  const trees = fc.array(fc.nat(), { maxLength: 30 }).map((picks) => {
    const tree = new Tree();
    picks.forEach((pick, at) => tree.add({ id: String(at), parent: at === 0 || pick % 5 === 0 ? null : String(pick % at) }));
    return { tree, size: picks.length };
  });

  test("every path begins at a root, follows parents and ends where it was asked to", () => {
    fc.assert(
      fc.property(trees, ({ tree, size }) => {
        for (let at = 0; at < size; at++) {
          const path = tree.path(String(at));
          expect(path.at(-1)).toBe(String(at));
          expect(path.map((id) => tree.parent(id))).toEqual([null, ...path.slice(0, -1)]);
          expect(tree.path(tree.leafBelow(String(at))).slice(0, path.length)).toEqual(path);
          expect(tree.children(tree.leafBelow(String(at)))).toEqual([]);
          expect(tree.siblings(String(at)).filter((id) => id === String(at))).toHaveLength(1);
        }
      }),
    );
  });

  test("a message stays where it was put first; circles and missing parents end a path", () => {
    const tree = new Tree();
    expect(tree.add({ id: "b", parent: "a" })).toBe(true);
    expect(tree.add({ id: "b", parent: null })).toBe(false);
    expect(tree.path("b")).toEqual(["b"]);
    tree.add({ id: "a", parent: "b" });
    expect(tree.path("b")).toEqual(["a", "b"]);
    expect(tree.leafBelow("a")).toBe("b");
    expect(tree.path("nobody")).toEqual([]);
  });
});

describe("bursts", () => {
  /** Reads of so many tokens, so many milliseconds apart. */
  const buffering = (reads: [after: number, tokens: number][], fresh = true) => {
    const bursts = new Bursts();
    let at = 1000;
    bursts.open(at, fresh);
    for (const [after, tokens] of reads) bursts.read((at += after), tokens);
    return bursts.buffering;
  };
  const many = (count: number, after: number, tokens: number) =>
    Array.from({ length: count }, (): [number, number] => [after, tokens]);

  test("a token every 20 ms, or one every two seconds, is no burst", () => {
    expect(buffering(many(500, 20, 1))).toBe(false);
    expect(buffering(many(60, 2000, 1))).toBe(false);
  });
  test("25 tokens every second are bursts", () => expect(buffering(many(3, 1000, 25))).toBe(true));
  test("so are they when each comes in several reads", () => {
    expect(buffering(many(3, 1000, 5).flatMap((read) => [read, ...many(4, 5, 5)]))).toBe(true);
  });
  test("a long answer all at once after seconds is one", () => expect(buffering([[5000, 80]])).toBe(true));
  test("a quick one is not", () => expect(buffering([[300, 80]])).toBe(false));
  test("what was missed comes in one burst, and says nothing", () => {
    expect(buffering([[3000, 500], ...many(50, 20, 1)], false)).toBe(false);
  });
  test("a steady stream that pauses to think is none", () => {
    expect(buffering(Array.from({ length: 4 }, () => many(40, 20, 1).concat([[1000, 1]])).flat())).toBe(false);
  });
  test("a fast model, 300 tokens a second in reads of 5, is none", () => expect(buffering(many(100, 16, 5))).toBe(false));
});

describe("the outbox", () => {
  const question = (answer: string) => ({ answer, model: "m", parent: null, message: null, history: [] });

  test("keeps each question once, in order, for every page", () => {
    const storage = new Storage();
    const one = new Outbox("c", storage);
    const two = new Outbox("c", storage);
    one.put({ question: question("a"), created: 1 });
    two.put({ question: question("b"), created: 2 });
    one.put({ question: question("a"), created: 1 });
    expect(two.list().map((unsent) => unsent.question.answer)).toEqual(["b", "a"]);
    expect(new Outbox("other", storage).list()).toEqual([]);
    one.remove("a");
    one.remove("b");
    expect(storage.kept.size).toBe(0);
  });

  test("does without storage that is forbidden, full, or holds something else", () => {
    const forbidden = () => {
      throw new DOMException("no", "SecurityError");
    };
    const outbox = new Outbox("c", { getItem: forbidden, setItem: forbidden, removeItem: forbidden });
    outbox.put({ question: question("a"), created: 1 });
    expect(outbox.list()).toEqual([]);
    for (const kept of ["{", "3", '[null, {"question": 1}]']) {
      expect(new Outbox("c", { ...new Storage(), getItem: () => kept }).list()).toEqual([]);
    }
  });
});

test("the browser's occasions are heard until nobody listens", () => {
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const page = Object.assign(new EventTarget(), { navigator: { onLine: false }, document });
  const heard: string[] = [];
  const around = browser(page as unknown as Page);
  expect(around.isOnline()).toBe(false);
  const stop = around.listen((occasion) => heard.push(occasion));
  for (const name of ["online", "offline", "pageshow"]) page.dispatchEvent(new Event(name));
  document.dispatchEvent(new Event("visibilitychange"));
  document.visibilityState = "visible";
  document.dispatchEvent(new Event("visibilitychange"));
  stop();
  page.dispatchEvent(new Event("online"));
  expect(heard).toEqual(["back", "offline", "back", "back"]);
});
