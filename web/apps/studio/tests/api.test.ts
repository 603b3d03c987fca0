// The feed of changes: it is followed for as long as it gives a sign of life, and then anew.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { follow } from "../src/api.ts";

const KEEPALIVE = ": keepalive\n\n";
const READY = "event: ready\ndata: {}\n\n";

/** Every connection that was opened: what is written to it, and whether it was left. */
let connections: { write: (text: string) => void; signal: AbortSignal }[];

beforeEach(() => {
  vi.useFakeTimers();
  connections = [];
  vi.stubGlobal("fetch", async (_address: string, { signal }: RequestInit) => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        connections.push({ signal: signal!, write: (text) => controller.enqueue(new TextEncoder().encode(text)) });
        signal!.addEventListener("abort", () => controller.error(signal!.reason));
      },
    });
    return new Response(body);
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a feed that is silent for longer than two keepalives is left, and another one begins", async () => {
  const leaving = new AbortController();
  const ready = vi.fn();
  const changed = vi.fn();
  const followed = follow(leaving.signal, ready, changed);
  await vi.advanceTimersByTimeAsync(0);
  connections[0]!.write(READY);
  for (let time = 0; time < 10; time++) {
    await vi.advanceTimersByTimeAsync(15_000);
    connections[0]!.write(KEEPALIVE);
  }
  await vi.advanceTimersByTimeAsync(40_000);
  expect(connections).toHaveLength(1);
  expect(ready).toHaveBeenCalledOnce();
  await vi.advanceTimersByTimeAsync(6_000);
  expect(connections).toHaveLength(2);
  expect(connections[0]!.signal.aborted).toBe(true);
  connections[1]!.write(`${READY}event: changed\ndata: {"conversation":"abc"}\n\n`);
  await vi.advanceTimersByTimeAsync(0);
  expect(ready).toHaveBeenCalledTimes(2);
  expect(changed).toHaveBeenCalledWith("abc");
  leaving.abort();
  await followed;
  expect(connections[1]!.signal.aborted).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test("a feed whose head never comes is left as well", async () => {
  const asked: AbortSignal[] = [];
  vi.stubGlobal("fetch", (_address: string, { signal }: RequestInit) => {
    asked.push(signal!);
    return new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  });
  const leaving = new AbortController();
  const followed = follow(leaving.signal, () => {}, () => {});
  await vi.advanceTimersByTimeAsync(46_000);
  expect(asked).toHaveLength(2);
  leaving.abort();
  await followed;
});
