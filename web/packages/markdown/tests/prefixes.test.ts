// @vitest-environment jsdom

import { describe, expect, test } from "vitest";
import { createMarkdownView, renderMarkdown } from "../src/index.ts";
import { corpus, shown } from "./tools.ts";

describe("every beginning is shown as a fresh parse of it", () => {
  test.each(corpus)("%s", (_name, text) => {
    const element = document.createElement("div");
    const view = createMarkdownView(element);
    for (let end = 1; end <= text.length; end++) {
      const beginning = text.slice(0, end);
      view.update(beginning);
      // Each character is an update; but for long documents, not each of them is compared.
      if (text.length > 1500 && end % 11 !== 0 && end < text.length - 50) continue;
      const fresh = shown(renderMarkdown(beginning, { open: true }));
      if (shown(element) !== fresh) expect({ beginning, html: shown(element) }).toEqual({ beginning, html: fresh });
    }
    view.finish();
    expect(shown(element)).toBe(shown(renderMarkdown(text)));
  }, 30_000);
});
