import type { Highlighter } from "./fence.ts";

export function createHighlighter(): Highlighter {
  return { highlight: () => null };
}
