/** Streaming Markdown into the DOM: text goes in as it arrives, and what is settled is never touched again. */

import { copyCode } from "./copy.ts";
import type { Highlighter } from "./fence.ts";
import { Groups } from "./groups.ts";
import { type Links, definitions } from "./lexer.ts";
import { parse } from "./open.ts";
import { Renderer } from "./render.ts";
import { View } from "./view.ts";
import { create } from "./vnode.ts";

export type { Highlighter, HighlightToken } from "./fence.ts";
export { createHighlighter } from "./highlight.ts";

export interface MarkdownOptions {
  /** Colours code; without one, code is plain. */
  readonly highlight?: Highlighter | undefined;
  /** Takes the exact text of a block of code when its button is pressed, instead of the clipboard. */
  readonly onCopy?: ((text: string) => void | Promise<void>) | undefined;
  /** Added to the level of headings; 2 if not given: `#` becomes an `h3`. */
  readonly headingOffset?: number | undefined;
}

export interface MarkdownView {
  /** Show the whole text so far. It normally goes on from the last one; if not, what differs is made anew. */
  update(text: string): void;
  /** The text is whole: what was held back or completed at its end is shown as it is. */
  finish(): void;
  /** Empty the element, and listen no longer. */
  destroy(): void;
}

const HEADING_OFFSET = 2;

/**
 * Show a growing text in an element, which must be empty and is the view's alone until it is destroyed.
 *
 * The cost of an update is that of the last two or three blocks, not of the text.
 */
export function createMarkdownView(element: HTMLElement, options: MarkdownOptions = {}): MarkdownView {
  const view = new View(element, options.highlight, options.headingOffset ?? HEADING_OFFSET);
  const stopCopying = copyCode(element, options.onCopy);
  let destroyed = false;
  return {
    update: (text) => {
      if (!destroyed) view.update(text);
    },
    finish: () => {
      if (!destroyed) view.finish();
    },
    destroy: () => {
      destroyed = true;
      stopCopying();
      element.replaceChildren();
    },
  };
}

export interface RenderMarkdownOptions extends MarkdownOptions {
  /** The text is a beginning: render it as a view shows it before it is finished. */
  readonly open?: boolean | undefined;
}

/** Render a whole text at once, by one parse of all of it: for finished messages. */
export function renderMarkdown(text: string, options: RenderMarkdownOptions = {}): DocumentFragment {
  const open = options.open === true;
  const source = (open && text.endsWith("\r") ? text.slice(0, -1) : text).replace(/\r\n?/g, "\n");
  const { parsed, leaf } = parse(source, open);
  const links: Links = definitions(parsed.tokens);
  const renderer = new Renderer(parsed, leaf, links, {
    highlight: options.highlight,
    headingOffset: options.headingOffset ?? HEADING_OFFSET,
  });
  const fragment = document.createDocumentFragment();
  const groups = new Groups(fragment);
  for (const [index, block] of renderer.blocks(parsed.tokens).entries()) groups.append(index, create(block, document));
  for (const group of groups.elements) copyCode(group, options.onCopy);
  return fragment;
}
