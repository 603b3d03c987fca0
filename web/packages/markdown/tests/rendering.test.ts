// @vitest-environment jsdom

import { describe, expect, test, vi } from "vitest";
import { createHighlighter, createMarkdownView, renderMarkdown } from "../src/index.ts";
import { decodeEntities } from "../src/entities.ts";
import { goesOn } from "../src/extends.ts";
import { safeAddress } from "../src/url.ts";
import { shown } from "./tools.ts";

const REL = 'rel="noopener noreferrer nofollow" target="_blank"';

describe("what is drawn", () => {
  test.each([
    ["", ""],
    ["just text", "<p>just text</p>"],
    ["## Two ##\ntext", "<h4>Two</h4><p>text</p>"],
    ["###### Six", "<h6>Six</h6>"],
    ["Set\n===", "<h3>Set</h3>"],
    ["a  \nb\\\nc", "<p>a<br>b<br>c</p>"],
    ["**a *b* c** ~~d~~", "<p><strong>a <em>b</em> c</strong> <del>d</del></p>"],
    ["`` a`b ``", "<p><code>a`b</code></p>"],
    ["\\*no\\* &amp;lt; &copy; AT&T", "<p>*no* &amp;lt; © AT&amp;T</p>"],
    ["- a\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"],
    ["- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"],
    ["- a\n  - b\n- c", "<ul><li><p>a</p><ul><li><p>b</p></li></ul></li><li><p>c</p></li></ul>"],
    ["7. a\n8. b", '<ol start="7"><li><p>a</p></li><li><p>b</p></li></ol>'],
    [
      "- [x] a\n- [ ] b",
      '<ul><li class="md-task"><p><input type="checkbox" disabled="" checked=""> a</p></li>' +
        '<li class="md-task"><p><input type="checkbox" disabled=""> b</p></li></ul>',
    ],
    ["> a\n> b", "<blockquote><p>a\nb</p></blockquote>"],
    ["---", "<hr>"],
    ["<script>x</script>", '<p class="md-raw">&lt;script&gt;x&lt;/script&gt;</p>'],
    ["a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>"],
    ["[a](javascript:x) [b](/c)", "<p>a b</p>"],
    ["[a](https://example.com \"t\")", `<p><a href="https://example.com/" ${REL}>a</a></p>`],
    ["https://example.com/x.", `<p><a href="https://example.com/x" ${REL}>https://example.com/x</a>.</p>`],
    ["<me@example.com>", `<p><a href="mailto:me@example.com" ${REL}>me@example.com</a></p>`],
    [
      "![alt](https://example.com/p.png)",
      `<p><a href="https://example.com/p.png" ${REL} class="md-image">alt<span class="md-host"> (example.com)</span></a></p>`,
    ],
    ["\\(x_1\\) and $$y*z*$$", '<p><span class="math">x_1</span> and <span class="math">y*z*</span></p>'],
    ["$$\nx\n$$", '<p class="md-math"><span class="math">x</span></p>'],
    ["costs $5 and $6", "<p>costs $5 and $6</p>"],
    [
      "| a | b |\n|:-:|--:|\n| 1 | `x\\|y` |",
      '<div class="md-table" role="group" aria-label="Table" tabindex="0"><table><thead><tr><th scope="col" class="md-center">a</th>' +
        '<th scope="col" class="md-right">b</th></tr></thead><tbody><tr><td class="md-center">1</td>' +
        '<td class="md-right"><code>x|y</code></td></tr></tbody></table></div>',
    ],
    [
      "```c++ x\na < b\n\n```",
      '<div class="md-code"><div class="md-code-bar"><span class="md-code-language">c++</span><button type="button" class="md-copy" ' +
        'aria-label="Copy code">Copy</button></div><pre tabindex="0"><code class="language-c++">a &lt; b\n</code></pre></div>',
    ],
  ])("%j", (markdown, html) => {
    expect(shown(renderMarkdown(markdown))).toBe(html);
  });

  test("the level of headings is the page's choice", () => {
    expect(shown(renderMarkdown("# A", { headingOffset: 0 }))).toBe("<h1>A</h1>");
  });

  test("a very long paragraph keeps its formatting", () => {
    const text = "some **bold** words ".repeat(3_000);
    const fragment = renderMarkdown(text);
    expect(fragment.textContent?.replaceAll("*", "").length).toBe(text.trimEnd().replaceAll("*", "").length);
    expect(fragment.querySelectorAll("strong").length).toBeGreaterThan(2_980);
  });
});

describe("the end of a text that grows", () => {
  test.each([
    ["A **bold", "<p>A <strong>bold</strong></p>"],
    ["A **", "<p>A</p>"],
    ["A **bold*", "<p>A <strong>bold</strong></p>"],
    ["**a *b", "<p><strong>a <em>b</em></strong></p>"],
    ["**a `b", "<p><strong>a <code>b</code></strong></p>"],
    ["~~a", "<p><del>a</del></p>"],
    ["a [b", "<p>a b</p>"],
    ["a [b]", "<p>a b</p>"],
    ["a [b](https://exam", "<p>a b</p>"],
    ["a ![b](https://exam", "<p>a b</p>"],
    ["see https://exam", "<p>see https://exam</p>"],
    ["see <https://exam", "<p>see https://exam</p>"],
    ["a `co", "<p>a <code>co</code></p>"],
    ["a \\(x_1 + ", '<p>a <span class="math">x_1 +</span></p>'],
    ["text\n-", "<p>text</p>"],
    ["text\n--", "<p>text</p>"],
    ["| a | b", ""],
    ["| a | b |\n|--", ""],
    ["- a\n- ", "<ul><li><p>a</p></li></ul>"],
    ["- [", ""],
    ["- [ ] ", ""],
    ["``", ""],
    ["```py", ""],
    ["#", ""],
    ["a &am", "<p>a</p>"],
    ["[x]: https://exam", ""],
  ])("%j", (text, html) => {
    const element = document.createElement("div");
    const view = createMarkdownView(element);
    view.update(text);
    expect(shown(element)).toBe(html);
    view.finish();
    expect(shown(element)).toBe(shown(renderMarkdown(text)));
  });

  test("marks that are about to be formatting never show", () => {
    const text =
      "A **bold** and `code` [link](https://example.com) word, ***both***, ~~gone~~ and **bold with `code` and *more***.\n\n" +
      "- *item*\n- [x] done\n\n## Head\n\n| a | b |\n| - | - |\n| **c** | `d` |\n\n```js\nlet a;\n```\n\n![p](https://example.com/p.png) end\n";
    const element = document.createElement("div");
    const view = createMarkdownView(element);
    const flashes: string[] = [];
    for (let end = 1; end <= text.length; end++) {
      view.update(text.slice(0, end));
      const seen = element.textContent ?? "";
      if (/[*`|#~[\]]|\]\(/.test(seen)) flashes.push(seen);
    }
    expect(flashes).toEqual([]);
  });
});

describe("code", () => {
  const copied = async (source: string): Promise<string | undefined> => {
    const element = document.body.appendChild(document.createElement("div"));
    const onCopy = vi.fn<(text: string) => void>();
    const view = createMarkdownView(element, { onCopy, highlight: createHighlighter() });
    for (let end = 1; end <= source.length; end++) view.update(source.slice(0, end));
    view.finish();
    element.querySelector("button")?.click();
    await Promise.resolve();
    view.destroy();
    expect(element.childNodes.length).toBe(0);
    element.remove();
    return onCopy.mock.calls[0]?.[0];
  };

  test("the button copies the exact text", async () => {
    expect(await copied("```py\ndef f():\n\n\treturn '<b>' # x\n```\n")).toBe("def f():\n\n\treturn '<b>' # x");
    expect(await copied("````\n```\n````")).toBe("```");
  });

  test("of a fragment, too", async () => {
    const onCopy = vi.fn<(text: string) => void>();
    document.body.append(renderMarkdown("```\nx\n```", { onCopy }));
    document.querySelector<HTMLButtonElement>(".md-copy")?.click();
    expect(onCopy).toHaveBeenCalledWith("x");
    document.body.replaceChildren();
  });

  test.each([
    ["js", "const a = 'x'; // y", "keyword:const string:'x' comment:// y"],
    ["ts", "let n = 0xff + 1.5e3;", "keyword:let number:0xff number:1.5e3"],
    ["js", "`a\nb` + 1", "string:`a string:b` number:1"],
    ["js", "/* a\nb */ if", "comment:/* a comment:b */ keyword:if"],
    ["js", "a.default", ""],
    ["python", 'x = """a\n# b"""\n# c', 'string:"""a string:# b""" comment:# c'],
    ["python", "don't = 1", "number:1"],
    ["bash", "echo $# # c", "keyword:echo comment:# c"],
    ["sql", "SELECT 'a' -- c", "keyword:SELECT string:'a' comment:-- c"],
    ["html", '<a href="x">it\'s</a>', 'keyword:<a string:"x" keyword:> keyword:</a keyword:>'],
    ["json", '{"a": [1, true]}', 'string:"a" number:1 keyword:true'],
    ["css", "a { color: red; } /* c */", "comment:/* c */"],
    ["rust", "fn f(x: &'a str) {}", "keyword:fn"],
    ["go", "func f() { return nil }", "keyword:func keyword:return keyword:nil"],
    ["unknown", "if 1", ""],
  ])("%s: %j", (language, code, expected) => {
    const fragment = renderMarkdown(`\`\`\`${language}\n${code}\n\`\`\``, { highlight: createHighlighter() });
    const spans = [...fragment.querySelectorAll("pre span")];
    expect(spans.map((span) => `${span.className.replace("hl-", "")}:${span.textContent}`).join(" ")).toBe(expected);
    expect(fragment.querySelector("code")?.textContent).toBe(code);
  });

  test("a highlighter cannot change the code, nor break the view", () => {
    const liar = renderMarkdown("```js\na\n```", { highlight: { highlight: () => ({ tokens: [{ text: "b" }], state: 0 }) } });
    expect(liar.querySelector("code")?.textContent).toBe("a");
    const thrower = renderMarkdown("```js\na\n```", {
      highlight: {
        highlight: () => {
          throw new Error("no grammar");
        },
      },
    });
    expect(thrower.querySelector("code")?.textContent).toBe("a");
  });
});

test("groups hold fifty blocks", () => {
  const element = document.createElement("div");
  createMarkdownView(element).update("a\n\n".repeat(120));
  expect([...element.children].map((group) => group.children.length)).toEqual([50, 50, 20]);
});

test("entities are decoded once", () => {
  expect(decodeEntities("&amp;lt; &#38;lt; &#x41;&#0;&#x110000;&nosuch;&eacute;")).toBe("&lt; &lt; A\ufffd\ufffd&nosuch;é");
});

test.each(["javascript:x", " java\nscript:x", "data:,", "//x.example", "/x", "x", "", "https://", "https://a@b.example", "mailto:"])(
  "%j is no address",
  (address) => expect(safeAddress(address)).toBeNull(),
);

test("a text goes on from its beginnings only", () => {
  const text = Array.from({ length: 20_000 }, (_, at) => String.fromCharCode(97 + ((at * at) % 26))).join("");
  for (const end of [0, 1, 100, 5_000, 19_990, 20_000]) expect(goesOn(text.slice(0, end), text)).toBe(true);
  for (const other of ["", "b", text.slice(1), text.slice(0, -1), `${text.slice(0, 12_000)}#${text.slice(12_000)}`]) {
    expect(goesOn(text, other)).toBe(false);
  }
});
