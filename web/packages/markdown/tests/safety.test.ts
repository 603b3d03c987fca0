// @vitest-environment jsdom

import { expect, test } from "vitest";
import { createHighlighter, createMarkdownView, renderMarkdown } from "../src/index.ts";
import { attacks } from "./attacks.ts";

const ELEMENTS = new Set(
  ("a blockquote br button code del div em h3 h4 h5 h6 hr input li ol p pre span strong table tbody td th thead tr ul").split(" "),
);

/** The attributes each element may have, and what may be in them. */
const ATTRIBUTES: Record<string, Record<string, RegExp>> = {
  a: { href: /^(https?:\/\/[^@\s]+|mailto:[^\s]+)$/, rel: /^noopener noreferrer nofollow$/, target: /^_blank$/, class: /^md-image$/ },
  button: { type: /^button$/, class: /^md-copy$/, "aria-label": /^Copy code$/ },
  code: { class: /^language-[a-z0-9][a-z0-9+#._-]{0,31}$/ },
  div: { class: /^md-(group|code|code-bar|table)$/, role: /^group$/, "aria-label": /^Table$/, tabindex: /^0$/ },
  input: { type: /^checkbox$/, disabled: /^$/, checked: /^$/ },
  li: { class: /^md-task$/ },
  ol: { start: /^\d{1,9}$/ },
  p: { class: /^md-(math|raw)$/ },
  pre: { tabindex: /^0$/ },
  span: { class: /^(math|md-host|md-code-language|hl-(comment|string|number|keyword))$/ },
  td: { class: /^md-(left|center|right)$/ },
  th: { class: /^md-(left|center|right)$/, scope: /^col$/ },
};

/** What is in the nodes that must not be. */
function dangers(root: Element | DocumentFragment): string[] {
  const found: string[] = [];
  for (const element of root.querySelectorAll("*")) {
    if (!ELEMENTS.has(element.localName) || element.namespaceURI !== "http://www.w3.org/1999/xhtml") found.push(element.outerHTML);
    for (const { name, value } of element.attributes) {
      if (!ATTRIBUTES[element.localName]?.[name]?.test(value)) found.push(`${element.localName} ${name}=${value}`);
    }
    if (element.localName === "a") {
      const { protocol } = element as HTMLAnchorElement;
      if (!["http:", "https:", "mailto:"].includes(protocol)) found.push(protocol);
      if (!element.hasAttribute("rel") || element.parentElement?.closest("a")) found.push(element.outerHTML);
    }
    if (element.localName === "input" && !element.hasAttribute("disabled")) found.push(element.outerHTML);
  }
  return found;
}

test("there are attacks enough", () => {
  expect(attacks.length).toBeGreaterThanOrEqual(60);
});

test.each(attacks)("%j", (attack) => {
  const highlight = createHighlighter();
  expect(dangers(renderMarkdown(attack, { highlight }))).toEqual([]);
  for (let cut = 0; cut <= attack.length; cut++) {
    const element = document.createElement("div");
    const view = createMarkdownView(element, { highlight });
    view.update(attack.slice(0, cut));
    expect(dangers(element)).toEqual([]);
    view.update(attack);
    expect(dangers(element)).toEqual([]);
    view.finish();
    expect(dangers(element)).toEqual([]);
  }
  const element = document.createElement("div");
  const view = createMarkdownView(element, { highlight });
  for (let end = 1; end <= attack.length; end++) {
    view.update(attack.slice(0, end));
    expect(dangers(element)).toEqual([]);
  }
});

test("all attacks in one text, each in every container", () => {
  const inside = (prefix: string, text: string): string => text.replaceAll("\n", `\n${" ".repeat(prefix.length)}`);
  const text = attacks.flatMap((attack) => [attack, `> ${attack}`, `- ${inside("- ", attack)}`, `**${attack}**`]).join("\n\n");
  const element = document.createElement("div");
  const view = createMarkdownView(element);
  for (let end = 0; end <= text.length; end += 61) view.update(text.slice(0, end));
  view.update(text);
  view.finish();
  expect(dangers(element)).toEqual([]);
});

test("words of the attacks are still there to read", () => {
  expect(renderMarkdown("<script>alert(1)</script>").textContent).toBe("<script>alert(1)</script>");
  expect(renderMarkdown("a <b onclick=x>b</b>").textContent).toBe("a <b onclick=x>b</b>");
  expect(renderMarkdown("[click](javascript:alert(1))").textContent).toBe("click");
});

test.each([
  ["*", 20_000],
  ["*a ", 10_000],
  ["*a **b ", 4_000],
  ["`", 20_000],
  ["` `` ", 5_000],
  ["[", 20_000],
  ["[a](", 8_000],
  ["![", 8_000],
  ["[a][b", 8_000],
  ["> ", 10_000],
  ["- ", 10_000],
  ["1. ", 10_000],
  ["**a __b ", 4_000],
  ["|a", 10_000],
  ["https://", 5_000],
  ["<", 20_000],
  ["<a ", 8_000],
  ["<!--", 8_000],
  ["\\(", 8_000],
  ["$$", 8_000],
  ["$$\n", 4_000],
  ["&#", 8_000],
  ["_a*", 8_000],
  ["~~a ", 8_000],
  ["a@", 8_000],
  ["# ", 8_000],
  ["\n> - ", 2_000],
  ["[x]: y\n", 4_000],
  ["    a\n", 8_000],
  ["a", 1_000_000],
] as const)("%j times %i does not freeze the page", (unit, count) => {
  const text = unit.repeat(count);
  // The time limit of the test is what fails if any of this is quadratic.
  const element = document.createElement("div");
  const view = createMarkdownView(element);
  for (let end = 2_000; end <= Math.min(text.length, 20_000); end += 2_000) view.update(text.slice(0, end));
  view.update(text);
  view.finish();
  expect(element.textContent?.length).toBeGreaterThanOrEqual(0);
}, 10_000);
