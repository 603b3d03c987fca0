// Inline Markdown into DOM nodes: code, bold, italic, struck, links. Everything else is text, HTML included.
// Nothing here sets innerHTML, loads an image, or follows any address but http(s) ones that the reader clicks on.

const NEXT = /[\\`*_~[!<h\n]/g;
const LINK = /!?\[([^\]\n]{0,500})\]\(\s*<?([^\s<>()]{0,1000}(?:\([^\s<>()]{0,500}\)[^\s<>()]{0,500})?)>?(?:\s+"[^"\n]{0,200}")?\s*\)/y;
const UNFINISHED_LINK = /!?\[([^\]\n]{0,500})(?:\](?:\([^)\n]{0,1000})?)?$/y;
const ADDRESS = /https?:\/\/[^\s<>"'`|]{1,1000}/y;
const ANGLED = /<(https?:\/\/[^\s<>]{1,1000})>/y;
const MOST_MISSES = 200; // marks without a partner that are looked for, before the rest of them are taken as text
const MOST_CHARACTERS = 50_000;
const MOST_DEPTH = 8;

/**
 * Append `text` to `host`. With `open`, more is to come: what is not closed yet is shown as if it were, so that
 * nothing flips from asterisks to bold in front of the reader.
 */
export function appendInline(host, text, open = false) {
  if (text.length > MOST_CHARACTERS) return host.append(text);
  inline(host, open ? text.replace(/[*_~`]+$/, "") : text, open, { misses: 0, depth: 0 });
}

function inline(host, text, open, state) {
  let plain = "";
  let at = 0;
  const flush = () => {
    if (plain) host.append(plain);
    plain = "";
  };
  const element = (name, inner, stillOpen) => {
    flush();
    const node = host.appendChild(document.createElement(name));
    state.depth += 1;
    if (state.depth > MOST_DEPTH) node.append(inner);
    else inline(node, inner, stillOpen, state);
    state.depth -= 1;
  };

  while (at < text.length) {
    NEXT.lastIndex = at;
    const found = NEXT.exec(text)?.index ?? text.length;
    plain += text.slice(at, found);
    at = found;
    const mark = text[at];
    if (mark === undefined) break;

    if (mark === "\\") {
      const next = text[at + 1] ?? "";
      if (next === "\n") {
        flush();
        host.append(document.createElement("br"));
        at += 2;
      } else {
        plain += /[!-/:-@[-`{-~]/.test(next) ? next : mark + next;
        at += 1 + next.length;
      }
    } else if (mark === "\n") {
      const hard = plain.endsWith("  ");
      plain = plain.trimEnd();
      if (hard) {
        flush();
        host.append(document.createElement("br"));
      } else plain += "\n";
      at += 1;
    } else if (mark === "`") {
      const ticks = /`+/y;
      ticks.lastIndex = at;
      const run = ticks.exec(text)[0];
      const close = closingTicks(text, at + run.length, run.length, state);
      if (close < 0 && !open) {
        plain += run;
        at += run.length;
      } else {
        flush();
        const inner = text.slice(at + run.length, close < 0 ? text.length : close).replaceAll("\n", " ");
        const code = host.appendChild(document.createElement("code"));
        code.append(/^ .*[^ ].* $/.test(inner) ? inner.slice(1, -1) : inner);
        at = close < 0 ? text.length : close + run.length;
      }
    } else if (mark === "*" || mark === "_" || mark === "~") {
      const delimiter = text[at + 1] === mark ? mark + mark : mark;
      const from = at + delimiter.length;
      const opens = from < text.length && !/\s/.test(text[from]) && delimiter !== "~";
      const inWord = mark === "_" && /[\p{L}\p{N}]/u.test(text[at - 1] ?? "");
      const close = opens && !inWord ? closingMark(text, from, delimiter, state) : -1;
      if (close >= 0 || (open && opens && !inWord)) {
        const name = delimiter === "~~" ? "del" : delimiter.length === 2 ? "strong" : "em";
        element(name, text.slice(from, close < 0 ? text.length : close), open && close < 0);
        at = close < 0 ? text.length : close + delimiter.length;
      } else {
        plain += delimiter;
        at = from;
      }
    } else {
      const step = link(text, at, open);
      if (step) {
        flush();
        host.append(step.node);
        at += step.length;
      } else {
        plain += mark;
        at += 1;
      }
    }
  }
  flush();
}

function closingTicks(text, from, length, state) {
  if (state.misses > MOST_MISSES) return -1;
  const runs = /`+/g;
  runs.lastIndex = from;
  for (let run = runs.exec(text); run; run = runs.exec(text)) if (run[0].length === length) return run.index;
  state.misses += 1;
  return -1;
}

/** Where the delimiter closes: after something, and not inside code or behind a backslash. */
function closingMark(text, from, delimiter, state) {
  if (state.misses > MOST_MISSES) return -1;
  for (let at = from + 1; at < text.length; at++) {
    const here = text[at];
    if (here === "\\") at += 1;
    else if (here === "`") {
      const end = text.indexOf("`", at + 1);
      if (end > 0) at = end;
    } else if (here === delimiter[0]) {
      let run = 1;
      while (text[at + run] === here) run += 1;
      const fits = delimiter.length === 1 ? run !== 2 : run >= 2;
      const after = text[at + run] ?? "";
      const inWord = here === "_" && /[\p{L}\p{N}]/u.test(after);
      if (fits && !inWord && !/\s/.test(text[at - 1])) return at + run - delimiter.length;
      at += run - 1;
    }
  }
  state.misses += 1;
  return -1;
}

/** A link at this place: `[label](address)`, `<address>` or a bare address. An image is a link to it, never loaded. */
function link(text, at, open) {
  const here = (pattern) => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  let match = here(LINK);
  if (match) {
    const label = match[0][0] === "!" ? `image: ${match[1] || "untitled"}` : match[1] || match[2];
    return { node: anchor(label, match[2]), length: match[0].length };
  }
  match = here(ANGLED);
  if (match) return { node: anchor(match[1], match[1]), length: match[0].length };
  match = /\w/.test(text[at - 1] ?? "") ? null : here(ADDRESS);
  if (match) {
    const address = match[0].replace(/[.,;:!?)\]*_~]+$/, "");
    return { node: anchor(address, address), length: address.length };
  }
  match = open && text[at] !== "<" ? here(UNFINISHED_LINK) : null;
  return match && { node: document.createTextNode(match[1]), length: match[0].length };
}

function anchor(label, address) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    // Not an absolute address: shown as text.
  }
  if (url?.protocol !== "http:" && url?.protocol !== "https:") return document.createTextNode(label);
  const node = document.createElement("a");
  node.href = url.href;
  node.rel = "noopener noreferrer nofollow";
  node.target = "_blank";
  node.referrerPolicy = "no-referrer";
  node.title = url.href;
  node.append(label);
  return node;
}
