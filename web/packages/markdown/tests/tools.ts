// What the tests share: the corpus, and a comparison of what is shown.

/// <reference types="vite/client" />

const files = import.meta.glob("../corpus/*.md", { query: "?raw", import: "default", eager: true });

/** The documents by their names. */
export const corpus: readonly (readonly [string, string])[] = Object.entries(files).map(([path, text]) => [
  path.replace(/^.*\//, ""),
  String(text),
]);

/** HTML with the groups taken away and neighbouring texts joined. */
export function shown(root: Element | DocumentFragment): string {
  const copy = document.createElement("div");
  copy.append(...[...root.childNodes].map((node) => node.cloneNode(true)));
  for (const group of copy.querySelectorAll(".md-group")) group.replaceWith(...group.childNodes);
  copy.normalize();
  return copy.innerHTML;
}

/** The blocks, without the groups. */
export function blocksOf(root: Element): Element[] {
  return [...root.children].flatMap((group) => [...group.children]);
}
