// The block and inline lexer of `marked`, with mathematics, and with limits on what a hostile text can make it do.

import { Lexer, type MarkedOptions, type Token, Tokenizer, type Tokens } from "marked";

export type Links = Record<string, { href: string; title: string | null | undefined }>;

/** How many characters have been given to the lexers: what the tests of cost count. */
export const lexed = { blocks: 0, inline: 0 };

const DEEPEST_BLOCK = 12;
const DEEPEST_INLINE = 24;
const PIECE = 2_000;
const LONGEST_PIECE = 4_000;
const MOST_MARKS = 1_000; // of emphasis, in a piece: pairing them is quadratic, so a piece with more is plain

/** Quotes and lists may be nested so deep; what is deeper is text. */
class BoundedTokenizer extends Tokenizer {
  #depth = 0;

  override blockquote(src: string): Tokens.Blockquote | undefined {
    return this.#nested(() => super.blockquote(src));
  }

  override list(src: string): Tokens.List | undefined {
    return this.#nested(() => super.list(src));
  }

  /** A title may not span a blank line: else a quotation mark much later would take back all blocks before it. */
  override def(src: string): Tokens.Def | undefined {
    if (!/^ {0,3}\[/.test(src)) return undefined;
    const blank = src.search(/\n[ \t]*\n/);
    return super.def(blank < 0 ? src : src.slice(0, blank + 1));
  }

  #nested<T>(lex: () => T | undefined): T | undefined {
    if (this.#depth >= DEEPEST_BLOCK) return undefined;
    this.#depth += 1;
    try {
      return lex();
    } finally {
      this.#depth -= 1;
    }
  }
}

class BoundedLexer extends Lexer {
  #depth = 0;

  override inlineTokens(src: string, tokens: Token[] = []): Token[] {
    if (this.#depth >= DEEPEST_INLINE) {
      tokens.push({ type: "text", raw: src, text: src });
      return tokens;
    }
    this.#depth += 1;
    try {
      return super.inlineTokens(src, tokens);
    } finally {
      this.#depth -= 1;
    }
  }
}

const MATH_OPENING = /^ {0,3}(\$\$|\\\[)([^\n]*)/;
const MATH_START = /\n {0,3}(?:\$\$|\\\[)/;
const DOLLARS = /^\$\$(?!\$)((?:[^$\\]|\\[\s\S]|\$(?!\$))+?)\$\$/;
const PARENTHESES = /^\\\(((?:(?!\\\))[\s\S])+?)\\\)/;

/** A formula on its own, up to its closing mark or a blank line: so that no blank line is ever waited across. */
function mathBlock(src: string): Tokens.Generic | undefined {
  const opening = MATH_OPENING.exec(src);
  if (opening === null) return undefined;
  const [line, mark, rest = ""] = opening;
  const closer = mark === "$$" ? "$$" : "\\]";
  const inLine = rest.indexOf(closer);
  const blank = src.search(/\n[ \t]*\n/);
  const whole = blank < 0 ? src : src.slice(0, blank + 1);
  if (inLine >= 0 && (rest.slice(inLine + 2).trim() || !rest.slice(0, inLine).trim())) return undefined;
  const from = line.length - rest.length;
  const close = whole.indexOf(closer, from);
  const lineEnd = close < 0 ? -1 : whole.indexOf("\n", close);
  const raw = lineEnd < 0 ? whole : whole.slice(0, lineEnd + 1);
  const text = raw.slice(from, close < 0 ? undefined : close).trim();
  const closed = close >= 0 && text !== "" && raw.slice(close + 2).trim() === "";
  return { type: "math", raw, text, closed, unclosed: close < 0 };
}

function mathInline(src: string): Tokens.Generic | undefined {
  const match = src[0] === "$" ? DOLLARS.exec(src) : src[0] === "\\" ? PARENTHESES.exec(src) : null;
  if (match === null || !match[1]?.trim()) return undefined;
  return { type: "math", raw: match[0], text: match[1].trim() };
}

const options: MarkedOptions = {
  gfm: true,
  breaks: false,
  async: false,
  pedantic: false,
  silent: true,
  tokenizer: new BoundedTokenizer(),
  extensions: {
    renderers: {},
    childTokens: {},
    block: [mathBlock],
    startBlock: [
      (src) => {
        const at = src.search(MATH_START);
        return at < 0 ? undefined : at + 1;
      },
    ],
    inline: [mathInline],
    startInline: [(src) => firstOf(src, "$$", "\\(")],
  },
};

function firstOf(src: string, one: string, other: string): number | undefined {
  const a = src.indexOf(one);
  const b = src.indexOf(other);
  if (a < 0 || b < 0) return a < 0 && b < 0 ? undefined : Math.max(a, b);
  return Math.min(a, b);
}

/** The blocks of a text; what is inline in them is lexed when it is asked for. */
export interface Parsed {
  readonly src: string;
  readonly tokens: Token[];
  /** The text of each leaf, by the token list that is to be filled from it. */
  readonly leaves: Map<Token[], string>;
  readonly lexer: Lexer;
}

/** Lex the blocks of a text with `\n` line ends. */
export function lexBlocks(src: string): Parsed {
  lexed.blocks += src.length;
  const lexer = new BoundedLexer(options);
  const tokens = lexer.blockTokens(src, lexer.tokens) as Token[];
  const leaves = new Map(lexer.inlineQueue.map((entry) => [entry.tokens, entry.src]));
  return { src, tokens, leaves, lexer };
}

/** Lex a leaf's text. The labels that are looked up meanwhile are added to `cites`, found or not. */
export function lexInline(parsed: Parsed, tokens: Token[], src: string, links: Links, cites: Set<string>): Token[] {
  lexed.inline += src.length;
  const { lexer } = parsed;
  lexer.tokens.links = new Proxy(links, {
    get: (target, label) => {
      cites.add(String(label));
      return typeof label === "string" ? target[label] : undefined;
    },
    getOwnPropertyDescriptor: (target, label) => {
      cites.add(String(label));
      return Reflect.getOwnPropertyDescriptor(target, label);
    },
  }) as typeof lexer.tokens.links;
  for (const piece of pieces(src)) {
    if (piece.length > MOST_MARKS && piece.replace(/[^*_~]+/g, "").length > MOST_MARKS) {
      tokens.push({ type: "text", raw: piece, text: piece });
      continue;
    }
    lexer.state.inRawBlock = false;
    lexer.state.inLink = false;
    lexer.inlineTokens(piece, tokens);
  }
  return tokens;
}

/**
 * A very long paragraph is read in pieces, so that nothing in it costs more than its length. Where it is cut depends
 * on what comes before the cut only, so a cut stays where it is while the text grows.
 */
export function pieces(src: string): string[] {
  if (src.length <= LONGEST_PIECE) return [src];
  const result: string[] = [];
  let at = 0;
  while (src.length - at > LONGEST_PIECE) {
    const window = src.slice(at + PIECE, at + LONGEST_PIECE);
    const cut = ["\n", ". ", " "].map((mark) => window.indexOf(mark)).find((found) => found >= 0);
    let end = at + (cut === undefined ? LONGEST_PIECE : PIECE + cut + 1);
    const code = src.charCodeAt(end);
    if (code >= 0xdc00 && code <= 0xdfff) end -= 1;
    result.push(src.slice(at, end));
    at = end;
  }
  result.push(src.slice(at));
  return result;
}

/** The link definitions in the tokens, the first of each label. */
export function definitions(tokens: readonly Token[], found: Links = Object.create(null) as Links): Links {
  for (const token of tokens) {
    if (token.type === "def") found[token["tag"] as string] ??= { href: token["href"] as string, title: null };
    else if (token.type === "list") for (const item of (token as Tokens.List).items) definitions(item.tokens, found);
    else if (token.type === "blockquote") definitions((token as Tokens.Blockquote).tokens, found);
  }
  return found;
}
