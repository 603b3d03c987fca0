// What the small highlighter knows of each language: how comments and strings look, and the keywords.

export interface Language {
  readonly keywords: ReadonlySet<string>;
  /** What begins a comment up to the line's end. */
  readonly line: readonly string[];
  /** What begins and ends a comment over lines. */
  readonly block: readonly (readonly [string, string])[];
  /** Strings: how they begin and end, and whether they go over lines. The longer ones come first. */
  readonly strings: readonly (readonly [open: string, close: string, lines: boolean])[];
  /** Keywords are the same in capitals. */
  readonly anyCase?: boolean;
  /** Tags are coloured as keywords. */
  readonly tags?: boolean;
}

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));

const C_COMMENTS = { line: ["//"], block: [["/*", "*/"]] } as const;
const SHORT_STRINGS = [['"', '"', false], ["'", "'", false]] as const;

const javascript: Language = {
  ...C_COMMENTS,
  strings: [["`", "`", true], ...SHORT_STRINGS],
  keywords: words(
    "abstract as async await break case catch class const continue debugger declare default delete do else enum export " +
      "extends false finally for from function get if implements import in infer instanceof interface is keyof let " +
      "namespace new null of override private protected public readonly return satisfies set static super switch this " +
      "throw true try type typeof undefined var void while with yield",
  ),
};

const python: Language = {
  line: ["#"],
  block: [],
  strings: [['"""', '"""', true], ["'''", "'''", true], ...SHORT_STRINGS],
  keywords: words(
    "False None True and as assert async await break case class continue def del elif else except finally for from " +
      "global if import in is lambda match nonlocal not or pass raise return try while with yield",
  ),
};

const json: Language = {
  ...C_COMMENTS,
  strings: [['"', '"', false]],
  keywords: words("true false null"),
};

const shell: Language = {
  line: ["#"],
  block: [],
  strings: [['"', '"', true], ["'", "'", true]],
  keywords: words(
    "if then else elif fi for while until do done case esac in function select return exit export local readonly set " +
      "unset source alias cd echo trap shift break continue sudo",
  ),
};

const html: Language = {
  line: [],
  block: [["<!--", "-->"]],
  strings: [['"', '"', true], ["'", "'", true]],
  keywords: new Set(),
  tags: true,
};

const css: Language = {
  line: [],
  block: [["/*", "*/"]],
  strings: SHORT_STRINGS,
  keywords: words("import media supports keyframes layer container property font-face important charset from to"),
};

const sql: Language = {
  line: ["--"],
  block: [["/*", "*/"]],
  strings: [["'", "'", true], ['"', '"', false]],
  anyCase: true,
  keywords: words(
    "add all alter and any as asc begin between by case cast check column commit constraint create cross database " +
      "default delete desc distinct drop else end except exists false for foreign from full function grant group having " +
      "if in index inner insert intersect into is join key left like limit not null offset on or order outer over " +
      "partition primary references returning right rollback select set table then true union unique update using " +
      "values view when where with",
  ),
};

const rust: Language = {
  ...C_COMMENTS,
  strings: [['"', '"', true]],
  keywords: words(
    "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut " +
      "pub ref return self Self static struct super trait true type unsafe use where while",
  ),
};

const go: Language = {
  ...C_COMMENTS,
  strings: [["`", "`", true], ...SHORT_STRINGS],
  keywords: words(
    "break case chan const continue default defer else fallthrough false for func go goto if import interface map nil " +
      "package range return select struct switch true type var",
  ),
};

const clike: Language = {
  ...C_COMMENTS,
  strings: [['"""', '"""', true], ...SHORT_STRINGS],
  keywords: words(
    "abstract as auto base bool boolean break byte case catch char class const constexpr continue data def default " +
      "delete do double else enum explicit export extends extern false final finally float for foreach friend fun func " +
      "get goto guard if implements import in inline int interface internal is let long mutable namespace native new nil " +
      "null nullptr object operator out override package private protected public readonly ref return sealed self set " +
      "short signed sizeof static string struct super switch template this throw throws trait true try typedef typename " +
      "union unsigned using val var virtual void volatile when where while yield",
  ),
};

const settings: Language = {
  line: ["#"],
  block: [],
  strings: [['"""', '"""', true], ...SHORT_STRINGS],
  keywords: words("true false null yes no on off"),
};

const ruby: Language = {
  line: ["#"],
  block: [],
  strings: SHORT_STRINGS,
  keywords: words(
    "alias and begin break case class def do else elsif end ensure false for if in module next nil not or redo rescue " +
      "retry return self super then true undef unless until when while yield require",
  ),
};

const NAMES: readonly (readonly [string, Language])[] = [
  ["js javascript jsx mjs cjs ts typescript tsx mts", javascript],
  ["py python python3", python],
  ["json jsonc json5", json],
  ["bash sh shell zsh console", shell],
  ["html xml svg vue", html],
  ["css scss less", css],
  ["sql postgres postgresql mysql sqlite", sql],
  ["rust rs", rust],
  ["go golang", go],
  ["c h cpp c++ cc hpp cs csharp c# java kotlin kt swift scala dart php objc", clike],
  ["yaml yml toml ini conf dockerfile makefile env properties", settings],
  ["rb ruby", ruby],
];

const BY_NAME = new Map(NAMES.flatMap(([names, language]) => names.split(" ").map((name) => [name, language] as const)));

/** The language with this name, in lower case; undefined if it is not known. */
export function languageNamed(name: string): Language | undefined {
  return BY_NAME.get(name);
}
