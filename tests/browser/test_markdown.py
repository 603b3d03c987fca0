"""Markdown in the real page: what it draws, and that the pieces in which it came do not matter."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.browser.place import Place, cue

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


def test_it_draws_what_there_is(chat: Chat) -> None:
    chat.asks(f"a sample {cue(text=SAMPLE, token_size=5)}")
    chat.sees_the_end()
    answer = chat.answer
    expect(answer.get_by_role("heading", level=3)).to_have_text("One")
    expect(answer.locator("p strong").first).to_have_text("bold")
    expect(answer.locator("ol[start='3'] > li")).to_have_count(2)
    expect(answer.locator("pre code").first).to_have_text('def f():\n\n    return "**no**"\n')
    expect(answer.locator("table td").first).to_have_text("1")
    expect(answer.locator("blockquote")).to_contain_text("quoted")
    expect(answer.locator("img")).to_have_count(0)
    outside = "all => all.every((a) => a.rel.includes('noopener') && a.target === '_blank')"
    assert answer.locator("a").count() >= 3
    assert answer.locator("a").evaluate_all(outside)
    assert "<b>html</b> &" in chat.text


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_pieces_do_not_matter(chat: Chat, place: Place, size: int) -> None:
    """What streamed in is what the same text is after a reload, drawn at once."""
    chat.asks(f"in pieces of {size} {cue(text=SAMPLE, token_size=size, pace=0.001)}")
    chat.sees_the_end()
    streamed = chat.answer.inner_html()
    chat.reloads()
    chat.sees_the_end()
    assert chat.answer.inner_html() == streamed
    assert place.truth(f"in pieces of {size} ").text[0] == SAMPLE
