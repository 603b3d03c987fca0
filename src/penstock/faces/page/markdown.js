// Streaming Markdown: text goes in as it arrives, DOM nodes come out, and what is settled is never touched again.
//
// Whole lines are committed: each either extends the open block or closes it and opens the next. The unfinished last
// line is only drafted: shown at once, and taken back before the next piece. So the work per frame is that of the
// last block, however long the answer is; and selection, copying and find survive in everything above it.

import { appendInline } from "/static/inline.js";

const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)(.*)$/;
const DELIMITERS = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const UNDECIDED = /^\s*(?:[-*+_=]+|\d{1,9}[.)]?|#{1,6}|`+|~+|>|\|.*)?\s*$/;
const LONE_MARKER = /^\s*(?:[-*+]|\d{1,9}[.)]|#{1,6}|>)\s*$/;
const MOST_DEPTH = 6;

export class Markdown {
  #blocks;
  #line = "";

  /** @param {HTMLElement} host an empty element */
  constructor(host) {
    this.#blocks = new Blocks(host, 0);
  }

  /** Append a piece of the answer. */
  push(text) {
    this.#blocks.takeBack();
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop();
    for (const line of lines) this.#blocks.commit(line.replace(/\r$/, ""));
    this.#blocks.draft(this.#line);
  }

  /** No more will come. */
  end() {
    this.#blocks.takeBack();
    // An answer cut behind a marker would end in an empty bullet or heading.
    if (this.#line && !LONE_MARKER.test(this.#line)) this.#blocks.commit(this.#line);
    this.#line = "";
    this.#blocks.close();
  }
}

class Blocks {
  #host;
  #depth;
  #open = null;
  #undo = null;

  constructor(host, depth) {
    this.#host = host;
    this.#depth = depth;
  }

  get inParagraph() {
    const open = this.#open;
    if (open?.kind === "quote" || open?.kind === "list") return open.inner.inParagraph;
    return open?.kind === "paragraph";
  }

  /** Take a whole line. */
  commit(line) {
    const open = this.#open;
    if (open && this.#extend(open, line)) return;
    if (open?.kind === "paragraph" && line.trim() && !interrupts(line)) {
      if (DELIMITERS.test(line) && line.includes("|") && this.#becomeTable(open, line)) return;
      open.text += `\n${line.trimStart()}`;
      this.#show(open, open.text, true);
      return;
    }
    this.close();
    if (line.trim()) this.#begin(line);
  }

  /** Show an unfinished line; takeBack() before anything else. */
  draft(line) {
    if (!line.trim() && this.#open?.kind !== "code") return;
    const open = this.#open;
    if (open?.kind === "code") {
      if (new RegExp(`^ {0,3}[${open.fence[0]}]+\\s*$`).test(line)) return;
      const piece = unindent(line, open.indent);
      open.node.appendData(piece);
      this.#undo = () => open.node.deleteData(open.node.length - piece.length, piece.length);
    } else if (open?.kind === "quote" && QUOTE.test(line)) {
      this.#draftInner(open.inner, line.replace(QUOTE, ""));
    } else if (open?.kind === "list" && indentOf(line) >= open.indent) {
      this.#draftInner(open.inner, line.slice(open.indent));
    } else if (UNDECIDED.test(line) && !(open?.kind === "table" && line.includes("|"))) {
      // A marker alone, or a table's first line: what it will be is not known yet.
    } else if (open?.kind === "list" && sameList(open, ITEM.exec(line))) {
      const item = document.createElement("li");
      open.node.append(item);
      new Blocks(item, this.#depth + 1).draft(ITEM.exec(line)[4]);
      this.#undo = () => item.remove();
    } else if (open?.kind === "table" && line.includes("|")) {
      const row = tableRow(open, line, true);
      this.#undo = () => row.remove();
    } else if (open?.kind === "paragraph" && !interrupts(line)) {
      // No undo: the next commit or draft shows the paragraph anew, or #settle does.
      this.#show(open, `${open.text}\n${line.trimStart()}`, true);
    } else {
      this.#settle();
      const before = this.#host.lastChild;
      const trial = new Blocks(this.#host, this.#depth);
      trial.#begin(line, true);
      this.#undo = () => {
        while (this.#host.lastChild !== before) this.#host.lastChild.remove();
      };
    }
  }

  takeBack() {
    this.#undo?.();
    this.#undo = null;
  }

  close() {
    this.#settle();
    this.#open?.inner?.close();
    this.#open = null;
  }

  #draftInner(inner, line) {
    inner.draft(line);
    this.#undo = () => inner.takeBack();
  }

  /** Does the line belong to the open block? Then it is taken. */
  #extend(open, line) {
    switch (open.kind) {
      case "code": {
        const close = /^ {0,3}(`{3,}|~{3,})\s*$/.exec(line)?.[1];
        if (close?.[0] === open.fence[0] && close.length >= open.fence.length) this.#open = null;
        else open.node.appendData(`${unindent(line, open.indent)}\n`);
        return true;
      }
      case "quote":
        if (QUOTE.test(line)) open.inner.commit(line.replace(QUOTE, ""));
        else if (line.trim() && open.inner.inParagraph && !interrupts(line)) open.inner.commit(line);
        else return false;
        return true;
      case "list": {
        const item = ITEM.exec(line);
        if (!line.trim()) {
          open.inner.commit("");
          open.blank = true;
          return true;
        }
        if (indentOf(line) >= open.indent) open.inner.commit(line.slice(open.indent));
        else if (sameList(open, item) && !RULE.test(line)) this.#item(open, item);
        else if (!open.blank && open.inner.inParagraph && !interrupts(line)) open.inner.commit(line.trimStart());
        else return false;
        open.blank = false;
        return true;
      }
      case "table":
        if (!line.includes("|")) return false;
        tableRow(open, line);
        return true;
    }
    return false;
  }

  #begin(line, open = false) {
    const fence = FENCE.exec(line);
    if (fence) {
      this.#open = { kind: "code", fence: fence[2], indent: fence[1].length, node: codeBlock(this.#host, fence[3]) };
      return;
    }
    const heading = HEADING.exec(line);
    if (heading) {
      // The page's own headings are h1 and h2: the answer's begin below them.
      const node = element(this.#host, `h${Math.min(6, heading[1].length + 2)}`);
      node.dataset.level = heading[1].length;
      appendInline(node, heading[2] ?? "", open);
      return;
    }
    if (RULE.test(line)) {
      element(this.#host, "hr");
      return;
    }
    const nested = this.#depth < MOST_DEPTH;
    if (nested && QUOTE.test(line)) {
      this.#open = { kind: "quote", inner: new Blocks(element(this.#host, "blockquote"), this.#depth + 1) };
      const inner = line.replace(QUOTE, "");
      if (open) this.#open.inner.draft(inner);
      else this.#open.inner.commit(inner);
      return;
    }
    const item = nested && ITEM.exec(line);
    if (item) {
      const ordered = /\d/.test(item[2]);
      const node = element(this.#host, ordered ? "ol" : "ul");
      if (ordered) node.start = Number.parseInt(item[2], 10);
      this.#open = { kind: "list", node, marker: item[2].at(-1), blank: false };
      this.#item(this.#open, item, open);
      return;
    }
    this.#open = { kind: "paragraph", node: element(this.#host, "p"), text: line.trimStart(), shown: null };
    this.#show(this.#open, this.#open.text, true);
  }

  #item(list, match, open = false) {
    list.inner?.close();
    list.inner = new Blocks(element(list.node, "li"), this.#depth + 1);
    list.indent = match[1].length + match[2].length + (match[4] ? Math.min(match[3].length, 4) : 1);
    if (open) list.inner.draft(match[4]);
    else if (match[4]) list.inner.commit(match[4]);
  }

  #show(paragraph, text, open) {
    // A line that begins with a bar may be a table's head: wait for the next one.
    const held = open && /^\|[^\n]*(?:\n[\s|:-]*)?$/.test(text);
    if (paragraph.shown === text && paragraph.open === open) return;
    paragraph.shown = text;
    paragraph.open = open;
    paragraph.node.replaceChildren();
    if (!held) appendInline(paragraph.node, text.trimEnd(), open);
  }

  #settle() {
    if (this.#open?.kind === "paragraph") this.#show(this.#open, this.#open.text, false);
  }

  /** A paragraph whose last line has as many cells as this line of dashes was a table's head. */
  #becomeTable(paragraph, line) {
    if (paragraph.text.includes("\n")) return false;
    const head = cells(paragraph.text);
    const align = cells(line).map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : ""));
    if (head.length !== align.length) return false;
    const frame = document.createElement("div");
    frame.className = "table";
    frame.tabIndex = 0;
    const table = element(frame, "table");
    const open = { kind: "table", body: element(table, "thead"), align, cell: "th" };
    tableRow(open, paragraph.text);
    this.#open = { ...open, body: element(table, "tbody"), cell: "td" };
    paragraph.node.replaceWith(frame);
    return true;
  }
}

function element(host, name) {
  return host.appendChild(document.createElement(name));
}

/** May the line end a paragraph without a blank line before it? A number may only when it is 1. */
function interrupts(line) {
  const item = ITEM.exec(line);
  const listed = item && item[4] && (!/\d/.test(item[2]) || Number.parseInt(item[2], 10) === 1);
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || Boolean(listed);
}

function sameList(list, item) {
  return Boolean(item) && item[2].at(-1) === list.marker;
}

function indentOf(line) {
  return line.length - line.trimStart().length;
}

function unindent(line, by) {
  return line.slice(Math.min(by, indentOf(line)));
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function tableRow(table, line, open = false) {
  const row = element(table.body, "tr");
  const texts = cells(line);
  for (const [column, align] of table.align.entries()) {
    const cell = element(row, table.cell);
    if (align) cell.dataset.align = align;
    appendInline(cell, texts[column] ?? "", open && column === texts.length - 1);
  }
  return row;
}

/** A code block with its language and a copy button; returns the text node that its lines are appended to. */
function codeBlock(host, language) {
  const frame = element(host, "div");
  frame.className = "code";
  const bar = element(frame, "div");
  bar.className = "bar";
  element(bar, "span").append(language || "text");
  const copy = element(bar, "button");
  copy.type = "button";
  copy.dataset.copy = "code";
  copy.append("Copy");
  const pre = element(frame, "pre");
  pre.tabIndex = 0;
  return element(pre, "code").appendChild(document.createTextNode(""));
}
