"""The page's Markdown renderer: what it draws, that pieces don't matter, and that what is settled stays the same nodes."""

from __future__ import annotations

import json

import pytest

from tests.browser.chat import Chat

SAMPLE = """\
# One

A *line* with **bold**, `code`, ~~gone~~ and a [link](https://example.com/a_(b)).
Second line  \nafter a break \\*plain\\*, snake_case_word, 2 * 3 * 4.

- first
- second with `a`
  more of it

  and a paragraph
  1. inner
  2. two
- third

3. three
4. four

> quoted **text
> goes** on
lazily

```python
def f():

    return "**no**"
```

| a | b |
|:-:|--:|
| 1 | `x\\|y` |
| 2 |

~~~
``` inside
~~~
2026 began. https://example.com/x?y=1.
***
![picture](https://example.com/p.png) <b>html</b> &amp; <https://example.com>
"""

DRAWN = [
    ("", ""),
    ("just text", "<p>just text</p>"),
    ("## Two ##\ntext", '<h4 data-level="2">Two</h4><p>text</p>'),
    ("a\n\nb", "<p>a</p><p>b</p>"),
    ("a\nb", "<p>a\nb</p>"),
    ("a  \nb", "<p>a<br>b</p>"),
    ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
    ("***both***", "<p><strong><em>both</em></strong></p>"),
    ("a ** b ** c", "<p>a ** b ** c</p>"),
    ("`` a`b ``", "<p><code>a`b</code></p>"),
    ("some_snake_case", "<p>some_snake_case</p>"),
    ("\\*no\\*", "<p>*no*</p>"),
    ("- a\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
    ("- a\n  - b\n- c", "<ul><li><p>a</p><ul><li><p>b</p></li></ul></li><li><p>c</p></li></ul>"),
    ("7. a\n8. b", '<ol start="7"><li><p>a</p></li><li><p>b</p></li></ol>'),
    ("> a\n> b", "<blockquote><p>a\nb</p></blockquote>"),
    ("---", "<hr>"),
    ("In\n1986. It was", "<p>In\n1986. It was</p>"),
    ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
    ("[a](javascript:x) [b](/c)", "<p>a b</p>"),
    ("| a |\nb", "<p>| a |\nb</p>"),
]


@pytest.mark.parametrize(("markdown", "html"), DRAWN, ids=[repr(markdown) for markdown, _ in DRAWN])
def test_it_draws(blank: Chat, markdown: str, html: str) -> None:
    assert blank.rendered(markdown) == html
    assert blank.rendered(markdown, list(markdown)) == html


def test_code_tables_links_and_images(blank: Chat) -> None:
    html = blank.rendered(SAMPLE)
    assert '<pre tabindex="0"><code>def f():\n\n    return "**no**"\n</code></pre>' in html
    assert '<th data-align="center">a</th><th data-align="right">b</th>' in html
    assert '<td data-align="center">1</td><td data-align="right"><code>x|y</code></td>' in html
    assert "<code>``` inside\n</code>" in html
    assert html.count("<a ") == 4
    assert html.count('rel="noopener noreferrer nofollow" target="_blank"') == 4
    assert ">image: picture</a>" in html
    assert "<img" not in html


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_pieces_do_not_matter(blank: Chat, size: int) -> None:
    pieces = [SAMPLE[at : at + size] for at in range(0, len(SAMPLE), size)]
    assert blank.rendered(SAMPLE, pieces) == blank.rendered(SAMPLE)


def test_every_beginning_draws_the_same_in_pieces_as_at_once(blank: Chat) -> None:
    differing = blank.page.evaluate(
        """async (sample) => {
          const { Markdown } = await import("/static/markdown.js");
          const draw = (pieces) => {
            const host = document.createElement("div");
            const markdown = new Markdown(host);
            for (const piece of pieces) markdown.push(piece);
            markdown.end();
            return host.innerHTML;
          };
          const ends = Array.from(sample, (_, at) => sample.slice(0, at));
          return ends.filter((beginning) => draw([...beginning]) !== draw([beginning]));
        }""",
        SAMPLE,
    )
    assert differing == []


def test_settled_blocks_stay_the_same_nodes(blank: Chat) -> None:
    """After each character, every top-level block but the last two is the very node that it was before."""
    replaced = blank.page.evaluate(
        """async (sample) => {
          const { Markdown } = await import("/static/markdown.js");
          const host = document.createElement("div");
          const markdown = new Markdown(host);
          const replaced = [];
          let settled = [];
          for (const character of sample) {
            markdown.push(character);
            settled.forEach(({ node, html }, at) => {
              if (host.children[at] !== node || node.outerHTML !== html) replaced.push(html);
            });
            settled = [...host.children].slice(0, -2).map((node) => ({ node, html: node.outerHTML }));
          }
          return replaced;
        }""",
        SAMPLE,
    )
    assert replaced == []


def test_a_growing_answer_never_shows_marks_that_are_about_to_be_formatting(blank: Chat) -> None:
    flashes = blank.page.evaluate(
        """async (text) => {
          const { Markdown } = await import("/static/markdown.js");
          const host = document.createElement("div");
          const markdown = new Markdown(host);
          const flashes = [];
          for (const character of text) {
            markdown.push(character);
            if (/[*`|#]|\\]\\(/.test(host.textContent)) flashes.push(host.textContent);
          }
          return flashes;
        }""",
        "A **bold** and `code` [link](https://example.com) word\n\n- *item*\n\n## Head\n\n| a | b |\n| - | - |\n| c | d |\n",
    )
    assert flashes == []


def test_a_long_answer_costs_the_same_at_its_end_as_at_its_beginning(blank: Chat) -> None:
    """Not a stopwatch: the number of nodes that a piece makes the page add or remove does not grow with the answer."""
    counts = blank.page.evaluate(
        """async (block) => {
          const { Markdown } = await import("/static/markdown.js");
          const host = document.createElement("div");
          const markdown = new Markdown(host);
          const changes = new MutationObserver(() => {});
          changes.observe(host, { childList: true, subtree: true });
          const counts = [];
          for (let round = 0; round < 60; round++) {
            for (let at = 0; at < block.length; at += 5) markdown.push(block.slice(at, at + 5));
            const records = changes.takeRecords();
            counts.push(records.reduce((sum, record) => sum + record.addedNodes.length + record.removedNodes.length, 0));
          }
          return counts;
        }""",
        SAMPLE + "\n",
    )
    assert max(counts[30:]) <= max(counts[:5]), json.dumps(counts)
