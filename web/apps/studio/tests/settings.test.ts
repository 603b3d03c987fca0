// @vitest-environment jsdom
// What is taken of the settings that a browser kept.

import { beforeEach, expect, test, vi } from "vitest";

const FIRST = {
  theme: "system", pacing: "summary", enterSends: true, system: "", temperature: null, model: null, sidebar: true,
};

async function read(kept: string) {
  localStorage.setItem("penstock.settings", kept);
  const { asking, settings } = await import("../src/settings.ts");
  return { settings: settings.get(), asking: asking() };
}

beforeEach(() => {
  vi.resetModules();
  localStorage.clear();
});

test("what is as it should be is taken", async () => {
  const kept = { ...FIRST, theme: "dark", enterSends: false, system: "Be brief.", temperature: 0.5, model: "m" };
  const { settings, asking } = await read(JSON.stringify(kept));
  expect(settings).toEqual(kept);
  expect(asking).toEqual({ model: "m", system: "Be brief.", temperature: 0.5 });
});

test("each value of another type is as at first, and the others stay", async () => {
  const kept = {
    theme: "pink", pacing: 3, enterSends: "no", system: {}, temperature: "hot", model: ["m"], sidebar: false, more: 1,
  };
  const { settings, asking } = await read(JSON.stringify({ ...kept, constructor: 1 }));
  expect(settings).toEqual({ ...FIRST, sidebar: false });
  expect(asking).toEqual({ system: undefined, temperature: undefined });
});

test.each(["null", "7", '"text"', "[]", "{", '{"temperature":7}', '{"temperature":-1}'])("%s is no settings", async (kept) => {
  expect((await read(kept)).settings).toEqual(FIRST);
});
