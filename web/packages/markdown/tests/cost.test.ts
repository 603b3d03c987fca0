// @vitest-environment jsdom

import { expect, test } from "vitest";
import { createHighlighter, createMarkdownView } from "../src/index.ts";
import { lexed } from "../src/lexer.ts";
import { corpus } from "./tools.ts";

// Not a stopwatch: the characters that are lexed for an update, and the nodes that it touches, do not grow with the text.

interface Cost {
  lexed: number;
  mutations: number;
}

function costs(text: string, step: number): Cost[] {
  const element = document.createElement("div");
  const view = createMarkdownView(element, { highlight: createHighlighter() });
  const observer = new MutationObserver(() => {});
  observer.observe(element, { subtree: true, childList: true, characterData: true, attributes: true });
  const result: Cost[] = [];
  for (let end = step; end <= text.length; end += step) {
    const before = lexed.blocks + lexed.inline;
    view.update(text.slice(0, end));
    result.push({ lexed: lexed.blocks + lexed.inline - before, mutations: observer.takeRecords().length });
  }
  return result;
}

function most(costs: readonly Cost[]): Cost {
  return {
    lexed: Math.max(...costs.map((cost) => cost.lexed)),
    mutations: Math.max(...costs.map((cost) => cost.mutations)),
  };
}

test.each([
  ["an answer", `${corpus.find(([name]) => name === "answer.md")?.[1]}\n\n`],
  ["paragraphs", "Some *words* in a paragraph, with `code`.\n\n"],
  ["headings without blank lines", "# Heading\n"],
  ["one list", "- an item with **words**\n"],
  ["one loose list", "1. an item\n\n   with two paragraphs\n\n"],
  ["definitions", "A [link].\n\n[link]: https://example.com/\n\n"],
])("200,000 characters of %s cost the same from beginning to end", (_name, unit) => {
  const text = unit.repeat(Math.ceil(200_000 / unit.length));
  const all = costs(text, 97);
  const early = most(all.slice(0, Math.floor(all.length / 10)));
  const late = most(all.slice(Math.floor((all.length * 9) / 10)));
  expect(late.lexed).toBeLessThanOrEqual(early.lexed * 1.1 + 50);
  expect(late.mutations).toBeLessThanOrEqual(early.mutations + 5);
  expect(late.lexed).toBeLessThan(10_000);
}, 60_000);

test.each([
  ["a table", "| a | b |\n|---|---|\n", "| some **words** | `code` |\n"],
  ["a block of code", "```js\n", "const value = 'string'; // comment\n"],
])("200,000 characters of %s cost the same from beginning to end", (_name, head, unit) => {
  const all = costs(head + unit.repeat(Math.ceil(200_000 / unit.length)), 97);
  const early = most(all.slice(0, Math.floor(all.length / 10)));
  const late = most(all.slice(Math.floor((all.length * 9) / 10)));
  expect(late.lexed).toBeLessThanOrEqual(early.lexed * 1.1 + 50);
  expect(late.mutations).toBeLessThanOrEqual(early.mutations + 5);
}, 60_000);

test("the same text again costs nothing", () => {
  const element = document.createElement("div");
  const view = createMarkdownView(element);
  view.update("# A\n\ntext");
  const before = lexed.blocks + lexed.inline;
  const observer = new MutationObserver(() => {});
  observer.observe(element, { subtree: true, childList: true, characterData: true, attributes: true });
  view.update("# A\n\ntext");
  expect([lexed.blocks + lexed.inline - before, observer.takeRecords().length]).toEqual([0, 0]);
});
