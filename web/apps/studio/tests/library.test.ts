// @vitest-environment jsdom
// The list of conversations: as much of it stays as was asked for.

import { beforeEach, expect, test, vi } from "vitest";

const NUMBER = 330;
const all = Array.from({ length: NUMBER }, (_, at) => ({ id: `conversation-${at}`, title: `${at}`, created: 0, updated: NUMBER - at, leaf: null }));

let asked: URLSearchParams[];
let broken: boolean;

beforeEach(() => {
  vi.resetModules();
  asked = [];
  broken = false;
  vi.stubGlobal("fetch", async (address: string) => {
    const query = new URL(address, "http://a").searchParams;
    asked.push(query);
    if (broken) throw new TypeError("no network");
    const before = Number(query.get("before") ?? Infinity);
    const limit = Math.min(200, Number(query.get("limit") ?? 50));
    const found = all.filter(({ title, updated }) => updated < before && title.includes(query.get("search")!));
    return Response.json({ conversations: found.slice(0, limit), more: found.length > limit });
  });
});

test("earlier ones stay when something has changed, however many there are", async () => {
  const { more, refresh, shelf } = await import("../src/library.ts");
  await refresh();
  expect(shelf.get()).toMatchObject({ conversations: all.slice(0, 50), more: true });
  await more();
  await refresh();
  expect(shelf.get()).toMatchObject({ conversations: all.slice(0, 100), more: true });
  for (let pages = 0; pages < 4; pages++) await more();
  asked = [];
  await refresh();
  expect(shelf.get()).toMatchObject({ conversations: all.slice(0, 300), more: true });
  expect(asked.map((query) => query.get("limit"))).toEqual(["200", "100"]);
  await more();
  await refresh();
  expect(shelf.get()).toMatchObject({ conversations: all, more: false });
});

test("earlier ones that can not be read are asked for again the next time, and what is shown stays", async () => {
  const { more, refresh, shelf } = await import("../src/library.ts");
  await refresh();
  broken = true;
  await expect(more()).rejects.toThrow();
  broken = false;
  await refresh();
  expect(shelf.get().conversations).toEqual(all.slice(0, 50));
  await more();
  expect(shelf.get().conversations).toEqual(all.slice(0, 100));
});

test("another search begins at its first page", async () => {
  const { more, refresh, search, shelf } = await import("../src/library.ts");
  await refresh();
  await more();
  search("1");
  await vi.waitFor(() => expect(shelf.get().conversations.every(({ title }) => title.includes("1"))).toBe(true));
  expect(shelf.get().conversations).toHaveLength(50);
});

test("of two reads, the one that was asked for last is shown", async () => {
  const { refresh, shelf } = await import("../src/library.ts");
  const answers: ((found: Response) => void)[] = [];
  vi.stubGlobal("fetch", () => new Promise<Response>((resolve) => answers.push(resolve)));
  const reads = [refresh(), refresh()];
  answers[1]!(Response.json({ conversations: all.slice(0, 2), more: false }));
  await reads[1];
  answers[0]!(Response.json({ conversations: all.slice(0, 1), more: false }));
  await reads[0];
  expect(shelf.get().conversations).toHaveLength(2);
});
