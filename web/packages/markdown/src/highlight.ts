// A small lexical highlighter: comments, strings, numbers and keywords. It reads line by line, and carries from line to
// line only what is still open: a comment or a string. It is not a parser, and does not try to be one.

import type { Highlighter, HighlightToken } from "./fence.ts";
import { type Language, languageNamed } from "./languages.ts";

/** What is open at the end of a line. */
interface Open {
  readonly close: string;
  readonly kind: "hl-comment" | "hl-string";
}

const WORD = /[\p{L}_$@][\p{L}\p{N}_$]*(?:-[\p{L}\p{N}_$]+)*/uy;
const PLAIN_WORD = /[\p{L}_$@][\p{L}\p{N}_$]*/uy;
const NUMBER = /(?:0[xXbBoO][0-9a-fA-F_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)(?:[a-zA-Z%]{0,3})/y;
const TAG = /<\/?[a-zA-Z][\w:-]*|\/?>/y;
const LONGEST_LINE = 5_000;

/** A highlighter for common languages. Its tokens have the classes hl-comment, hl-string, hl-number and hl-keyword. */
export function createHighlighter(): Highlighter {
  return {
    highlight(line, name, state) {
      const language = languageNamed(name);
      if (language === undefined || line.length > LONGEST_LINE) return null;
      return read(line, language, (state as Open | null | undefined) ?? null);
    },
  };
}

function read(line: string, language: Language, before: Open | null): { tokens: HighlightToken[]; state: Open | null } {
  const tokens: HighlightToken[] = [];
  let plain = 0;
  let at = 0;
  const push = (end: number, className: string): void => {
    if (at > plain) tokens.push({ text: line.slice(plain, at) });
    if (end > at) tokens.push({ text: line.slice(at, end), className });
    at = end;
    plain = end;
  };
  let open = before;
  if (open !== null) {
    const end = closed(line, 0, open);
    push(end < 0 ? line.length : end, open.kind);
    if (end >= 0) open = null;
  }
  while (at < line.length) {
    const comment = language.line.find((mark) => line.startsWith(mark, at) && beginsComment(line, at, mark));
    if (comment !== undefined) {
      push(line.length, "hl-comment");
      break;
    }
    const begun = opens(line, at, language);
    if (begun !== null) {
      const end = closed(line, at + begun.length, begun.open);
      push(end < 0 ? line.length : end, begun.open.kind);
      if (end < 0 && begun.lines) open = begun.open;
      continue;
    }
    const found = word(line, at, language);
    if (found.className !== null) push(found.end, found.className);
    else at = found.end;
  }
  if (line.length > plain) tokens.push({ text: line.slice(plain) });
  return { tokens, state: open };
}

/** `#` begins a comment only where a word could begin: not in `$#` or `a#b`. */
function beginsComment(line: string, at: number, mark: string): boolean {
  return mark !== "#" || at === 0 || /[\s;(]/.test(line[at - 1] ?? "");
}

function opens(line: string, at: number, language: Language): { open: Open; length: number; lines: boolean } | null {
  for (const [mark, close] of language.block) {
    if (line.startsWith(mark, at)) return { open: { close, kind: "hl-comment" }, length: mark.length, lines: true };
  }
  for (const [mark, close, lines] of language.strings) {
    if (!line.startsWith(mark, at)) continue;
    // An apostrophe within a word is one; in markup, quotes count within tags only, behind `=`.
    if (mark === "'" && /[\p{L}\p{N}]/u.test(line[at - 1] ?? "") && !/[a-zA-Z]?[rRbBfFuU]$/.test(line.slice(0, at))) continue;
    if (language.tags === true && line[at - 1] !== "=") continue;
    return { open: { close, kind: "hl-string" }, length: mark.length, lines };
  }
  return null;
}

/** Where what is open is closed, behind its end; -1 if not in this line. */
function closed(line: string, from: number, open: Open): number {
  for (let at = from; at < line.length; at++) {
    if (open.kind === "hl-string" && line[at] === "\\") at += 1;
    else if (line.startsWith(open.close, at)) return at + open.close.length;
  }
  return -1;
}

function word(line: string, at: number, language: Language): { end: number; className: string | null } {
  if (language.tags === true) {
    TAG.lastIndex = at;
    const tag = TAG.exec(line);
    if (tag !== null) return { end: at + tag[0].length, className: "hl-keyword" };
  }
  NUMBER.lastIndex = at;
  const number = NUMBER.exec(line);
  if (number !== null) return { end: at + number[0].length, className: "hl-number" };
  const pattern = language.keywords.has("font-face") ? WORD : PLAIN_WORD;
  pattern.lastIndex = at;
  const text = pattern.exec(line)?.[0];
  if (text === undefined) return { end: at + 1, className: null };
  const key = text.replace(/^@/, "");
  const keyword = language.keywords.has(language.anyCase === true ? key.toLowerCase() : key);
  // A name behind a dot is a member, whatever it is called.
  return { end: at + text.length, className: keyword && line[at - 1] !== "." ? "hl-keyword" : null };
}
