// @vitest-environment jsdom

import fc from "fast-check";
import { expect, test } from "vitest";
import { createHighlighter, createMarkdownView, renderMarkdown } from "../src/index.ts";
import { blocksOf, shown } from "./tools.ts";

/** Pieces that, in any order, make the difficult documents. */
const PIECES = [
  "a", "word ", "two words", " ", "  ", "    ", "\t", "\n", "\n\n", "\n\n", "  \n", "\\\n", "\r\n", "\r", "*", "**", "***", "_", "__",
  "~~", "~", "`", "``", "```", "```js\n", "\n```\n", "~~~\n", "- ", "\n- ", "\n  - ", "* ", "+ ", "1. ", "\n2. ", "10) ", "- [ ] ", "- [x] ",
  "> ", "\n> ", "\n>\n", "# ", "\n## ", "---\n", "\n---\n", "===\n", "***\n", "| a | b |\n", "|---|:-:|\n", "| c | d |\n", "|", "[", "]", "(",
  ")", "[a](https://example.com)", "[ref]", "[text][ref]", "[ref]: https://example.com/r\n", "\n\n[ref]: <https://example.com/s> 'title'\n",
  "![alt](https://example.com/i.png)", "https://example.com/x", "www.example.com", "<https://example.com>", "<div>", "</div>\n", "<b>", "<!--",
  "-->", "<script>", "</script>", "&amp;", "&", "&#65;", "\\", "\\*", "$$", "$", "\\(", "\\)", "\\[", "\\]", "!", "\"", "'", "<", ">", ":",
  "日本", "👩‍👩‍👧", "𝒳", "مرحبا", "const x = 'y'; // z\n", "/* ", "*/", "x*y", "snake_case", "1986", ".",
] as const;

const documents = fc.array(fc.constantFrom(...PIECES), { maxLength: 60 }).map((pieces) => pieces.join(""));
const chunks = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 20 });

test("random documents in random chunks are shown as fresh parses", () => {
  fc.assert(
    fc.property(documents, chunks, (text, sizes) => {
      const highlight = createHighlighter();
      const element = document.createElement("div");
      const view = createMarkdownView(element, { highlight });
      for (let end = 0, at = 0; end < text.length; at++) {
        end += sizes[at % sizes.length] ?? 1;
        view.update(text.slice(0, end));
        expect(shown(element)).toBe(shown(renderMarkdown(text.slice(0, end), { highlight, open: true })));
      }
      view.finish();
      expect(shown(element)).toBe(shown(renderMarkdown(text, { highlight })));
    }),
    { numRuns: 1_500 },
  );
}, 120_000);

test("random edits, back and forth, are shown as fresh parses", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(documents, fc.double({ min: 0, max: 1, noNaN: true })), { minLength: 1, maxLength: 6 }), (edits) => {
      const element = document.createElement("div");
      const view = createMarkdownView(element);
      let text = "";
      for (const [added, share] of edits) {
        text = text.slice(0, Math.floor(text.length * share)) + added;
        view.update(text);
        expect(shown(element)).toBe(shown(renderMarkdown(text, { open: true })));
        if (share > 0.7) view.finish();
      }
      view.finish();
      expect(shown(element)).toBe(shown(renderMarkdown(text)));
    }),
    { numRuns: 500 },
  );
}, 120_000);

test("in random documents without definitions, all blocks but the last three stay the same nodes", () => {
  const plain = documents.map((text) => text.replaceAll("]:", "] :"));
  fc.assert(
    fc.property(plain, chunks, (text, sizes) => {
      const element = document.createElement("div");
      const view = createMarkdownView(element);
      let settled: { node: Element; html: string }[] = [];
      for (let end = 0, at = 0; end < text.length; at++) {
        end += sizes[at % sizes.length] ?? 1;
        view.update(text.slice(0, end));
        const blocks = blocksOf(element);
        settled.forEach(({ node, html }, index) => {
          expect(blocks[index]).toBe(node);
          expect(node.outerHTML).toBe(html);
        });
        settled = blocks.slice(0, -3).map((node) => ({ node, html: node.outerHTML }));
      }
    }),
    { numRuns: 500 },
  );
}, 120_000);
