// The DOM of one turn: what was asked, or an answer that grows. Updated at most once per animation frame.

import { Markdown } from "/static/markdown.js";
import { curlLine, figuresOf, stateOf, thoughtFor } from "/static/words.js";

/** make("p", {className: "x"}, "text", child): an element with properties and children. */
export function make(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

const put = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

export function questionTurn(message) {
  return make(
    "article",
    { className: "turn you" },
    make("h2", { className: "who" }, "You"),
    make("div", { className: "said" }, message.text),
  );
}

export class AnswerTurn {
  #shownText = "";
  #figures = "";
  #markdown;
  #settled = false;

  /**
   * @param {import("/static/answer.js").Answer} answer
   * @param {{keyed: () => boolean, onAgain: () => void}} page
   */
  constructor(answer, page) {
    this.answer = answer;
    this.page = page;
    this.who = make("h2", { className: "who" });
    this.thought = make("summary", {});
    this.thoughts = make("p", {});
    this.thinking = make("details", { className: "thinking", hidden: true }, this.thought, this.thoughts);
    this.body = make("div", { className: "answer" });
    this.calls = make("div", { className: "calls" });
    this.notice = make("div", { className: "notice", hidden: true });
    this.state = make("span", { className: "state" });
    this.figures = make("span", { className: "figures" });
    this.copy = make("button", { type: "button", className: "quiet", hidden: true }, "Copy");
    this.copy.addEventListener("click", () => copyText(this.copy, answer.record.text));
    this.curl = make("code", { tabIndex: 0 });
    const copyCurl = make("button", { type: "button", className: "quiet" }, "Copy");
    copyCurl.addEventListener("click", () => copyText(copyCurl, this.curl.textContent));
    const many = "The same answer, from its first word, in a terminal:";
    this.tap = make(
      "div",
      { className: "tap", hidden: true },
      make("p", {}, many),
      make("div", { className: "line" }, this.curl, copyCurl),
    );
    this.gauge = make("footer", { className: "gauge" }, this.state, this.figures, this.copy);
    this.element = make(
      "article",
      { className: "turn model" },
      this.who,
      make("div", { className: "flow" }, this.thinking, this.body, this.calls, this.notice, this.gauge, this.tap),
    );
    this.#markdown = new Markdown(this.body);
    this.update();
  }

  /** Show what is new. Words that are shown stay the nodes they are; only the unfinished end is drawn again. */
  update() {
    const { record } = this.answer;
    put(this.who, record.model || "…");
    this.#text(record.text || record.refusal);
    this.#thinking(record);
    for (const [index, call] of record.calls.entries()) {
      const node = this.calls.children[index] ?? this.calls.appendChild(make("pre", { tabIndex: 0 }));
      put(node, `${call.name}(${call.arguments})`);
    }
    const state = stateOf(this.answer);
    this.element.dataset.state = state.kind;
    put(this.state, state.words);
    const figures = figuresOf(this.answer);
    if (this.#figures !== (this.#figures = JSON.stringify(figures))) {
      this.figures.replaceChildren(...figures.map(([name, value]) => make("span", {}, make("b", {}, value), ` ${name}`)));
    }
    if (record.stream) {
      put(this.curl, curlLine(record.stream, this.page.keyed()));
      this.tap.hidden = false;
    }
    this.element.setAttribute("aria-busy", String(!this.answer.ended));
    if (this.answer.ended) this.#settle(record);
  }

  #text(text) {
    if (!text.startsWith(this.#shownText)) {
      // Someone stopped the answer at an earlier word, or the server began another log: the rare case of going back.
      this.body.replaceChildren();
      this.#markdown = new Markdown(this.body);
      this.#shownText = "";
    }
    if (text.length > this.#shownText.length) this.#markdown.push(text.slice(this.#shownText.length));
    this.#shownText = text;
  }

  #thinking(record) {
    if (!record.reasoning) return;
    this.thinking.hidden = false;
    put(this.thoughts, record.reasoning);
    const done = record.text || this.answer.ended;
    put(this.thought, done ? thoughtFor(this.answer) : `Thinking: ${record.reasoning.slice(-160).trimStart()}`);
    this.thought.classList.toggle("now", !done);
  }

  #settle(record) {
    if (this.#settled) return;
    this.#settled = true;
    this.#markdown.end();
    this.copy.hidden = !record.text;
    if (record.outcome === "cancelled" && !record.text) this.#say("Stopped before the first word.");
    if (record.error) {
      const again = make("button", { type: "button" }, "Ask again");
      again.addEventListener("click", () => this.page.onAgain());
      this.#say(record.error.message, make("code", {}, record.error.code), again);
      this.notice.classList.add("bad");
    }
  }

  #say(...children) {
    this.notice.replaceChildren(...children.map((child) => (typeof child === "string" ? make("p", {}, child) : child)));
    this.notice.hidden = false;
  }
}

/** Copy, and say so on the button. */
export async function copyText(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy"; // no clipboard without https, or without permission
  }
  setTimeout(() => (button.textContent = label), 1500);
}
