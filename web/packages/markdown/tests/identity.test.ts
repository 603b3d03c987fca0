// @vitest-environment jsdom

import { describe, expect, test } from "vitest";
import { createHighlighter, createMarkdownView, renderMarkdown } from "../src/index.ts";
import { blocksOf, corpus, shown } from "./tools.ts";

/** The nodes in a block, but for those of its last leaf: that may still change. */
function nodesOf(block: Element): Node[] {
  const nodes: Node[] = [];
  const walker = document.createTreeWalker(block);
  for (let node: Node | null = block; node !== null; node = walker.nextNode()) nodes.push(node);
  return nodes;
}

describe("what is settled stays the same nodes, untouched", () => {
  // Definitions change what is before them: only what cites them, which has tests of its own.
  const documents = corpus.filter(([name]) => !/references|definitions|long-table|footnotes/.test(name));
  test.each(documents)("%s", (_name, text) => {
    const element = document.createElement("div");
    const view = createMarkdownView(element, { highlight: createHighlighter() });
    const observer = new MutationObserver(() => {});
    observer.observe(element, { subtree: true, childList: true, characterData: true, attributes: true });
    let settled: Element[] = [];
    let inside = new Set<Node>();
    for (let end = 1; end <= text.length + 1; end++) {
      if (end <= text.length) view.update(text.slice(0, end));
      else view.finish();
      for (const record of observer.takeRecords()) {
        if (inside.has(record.target)) expect({ end, touched: record.target.textContent }).toBeNull();
      }
      const blocks = blocksOf(element);
      for (const [number, block] of settled.entries()) if (blocks[number] !== block) expect({ end, number }).toBeNull();
      const count = Math.max(0, blocks.length - 3);
      if (count > settled.length) {
        for (const block of blocks.slice(settled.length, count)) for (const node of nodesOf(block)) inside.add(node);
        settled = blocks.slice(0, count);
      }
    }
    expect(blocksOf(element).length).toBeGreaterThan(0);
  }, 30_000);
});

function grown(text: string, unit: string, selector: string): { replaced: string[]; count: number } {
  const element = document.createElement("div");
  const view = createMarkdownView(element, { highlight: createHighlighter() });
  const replaced: string[] = [];
  let before: { node: Node; html: string }[] = [];
  for (let end = 1; end <= text.length; end++) {
    view.update(text.slice(0, end));
    const now = [...element.querySelectorAll(selector)].map((node) => ({ node, html: node.outerHTML }));
    before.slice(0, -2).forEach((old, at) => {
      if (now[at]?.node !== old.node || now[at]?.html !== old.html) replaced.push(`${unit} ${at}: ${old.html}`);
    });
    before = now;
  }
  return { replaced, count: before.length };
}

test("items of a list are settled one by one", () => {
  const text = Array.from({ length: 30 }, (_, at) => `- item **${at}**\n\n  more\n`).join("");
  expect(grown(text, "item", "li")).toEqual({ replaced: [], count: 30 });
});

test("rows of a table are settled one by one", () => {
  const text = `| a | b |\n|---|---|\n${Array.from({ length: 30 }, (_, at) => `| ${at} | *x* |\n`).join("")}`;
  expect(grown(text, "row", "tbody tr")).toEqual({ replaced: [], count: 30 });
});

test("lines of code are coloured once", () => {
  const text = `\`\`\`js\n${Array.from({ length: 30 }, (_, at) => `const x${at} = "y"; // z\n`).join("")}\`\`\`\n`;
  expect(grown(text, "span", "code span")).toEqual({ replaced: [], count: 90 });
});

test("an open paragraph grows by appending to its text", () => {
  const element = document.createElement("div");
  const view = createMarkdownView(element);
  view.update("Hello");
  const node = element.querySelector("p")?.firstChild;
  for (const text of ["Hello wor", "Hello world,\nhow", "Hello world,\nhow are **you"]) view.update(text);
  expect(element.querySelector("p")?.firstChild).toBe(node);
  expect(element.querySelector("p")?.innerHTML).toBe("Hello world,\nhow are <strong>you</strong>");
});

test("a selection above the last block survives", () => {
  const element = document.body.appendChild(document.createElement("div"));
  const view = createMarkdownView(element);
  const text = "First paragraph.\n\n- one\n- two\n- three\n\n```js\ncode();\n```\n\nLast words.";
  view.update(text.slice(0, 40));
  const range = document.createRange();
  range.selectNodeContents(element.querySelector("p") as Element);
  document.getSelection()?.addRange(range);
  for (let end = 41; end <= text.length; end++) view.update(text.slice(0, end));
  view.finish();
  expect(document.getSelection()?.toString()).toBe("First paragraph.");
  element.remove();
});

describe("late definitions", () => {
  const cited = "Cites [it][ref] here.";
  const text = `Not cited.\n\n${cited}\n\n- [ref] in a list\n- plain\n\nMore.\n\nAnd more.\n\n## End\n\nLast.\n\n[ref]: https://example.com/\n\nBye.\n`;

  test("only what cites them is described again", () => {
    const element = document.createElement("div");
    const view = createMarkdownView(element);
    const cut = text.indexOf("[ref]: ");
    view.update(text.slice(0, cut));
    const before = blocksOf(element).map((node) => ({ node, html: node.outerHTML }));
    for (let end = cut + 1; end <= text.length; end++) view.update(text.slice(0, end));
    const after = blocksOf(element);
    before.forEach(({ node, html }, at) => {
      expect(after[at]).toBe(node);
      if (!html.includes("ref")) expect(node.outerHTML).toBe(html);
      else expect(node.querySelector("a")?.getAttribute("href")).toBe("https://example.com/");
    });
    expect(element.querySelectorAll("a").length).toBe(2);
  });

  test("in a list that grows, and defines what its first items cite", () => {
    const list = `${"- cites [x]\n".repeat(8)}- y\n\n  [x]: https://example.com/x\n- z\n- z\n- z [x]\n`;
    const element = document.createElement("div");
    const view = createMarkdownView(element);
    for (let end = 1; end <= list.length; end++) {
      view.update(list.slice(0, end));
      expect(shown(element)).toBe(shown(renderMarkdown(list.slice(0, end), { open: true })));
    }
    expect(element.querySelectorAll("a").length).toBe(9);
  });
});

describe("a text that does not go on from the last one", () => {
  test.each(corpus)("%s", (_name, text) => {
    for (const share of [0.2, 0.5, 0.8, 0.97]) {
      const element = document.createElement("div");
      const view = createMarkdownView(element, { highlight: createHighlighter() });
      view.update(text.slice(0, text.length * 0.9));
      view.update(text);
      const cut = text.slice(0, Math.floor(text.length * share));
      const options = { open: true, highlight: createHighlighter() };
      view.update(cut);
      expect(shown(element)).toBe(shown(renderMarkdown(cut, options)));
      view.update(`${cut} and another end\n\n[it]: https://example.com/`);
      expect(shown(element)).toBe(shown(renderMarkdown(`${cut} and another end\n\n[it]: https://example.com/`, options)));
      view.finish();
      view.update(text);
      view.finish();
      expect(shown(element)).toBe(shown(renderMarkdown(text, { highlight: createHighlighter() })));
    }
  }, 30_000);

  test("keeps the blocks before the difference, and the lines of code", () => {
    const text = `One.\n\nTwo.\n\nThree.\n\n\`\`\`js\n${"let a = 1;\n".repeat(20)}`;
    const element = document.createElement("div");
    const view = createMarkdownView(element, { highlight: createHighlighter() });
    view.update(text);
    const nodes = [...blocksOf(element), ...element.querySelectorAll("code span")];
    view.update(text.slice(0, -14));
    view.finish();
    const after = [...blocksOf(element), ...element.querySelectorAll("code span")];
    expect(after.length).toBeGreaterThan(30);
    after.slice(0, -3).forEach((node) => expect(nodes).toContain(node));
  });
});
