// The page: joins the conversation, its answers and their DOM.

import { Answer } from "/static/answer.js";
import { Chat } from "/static/chat.js";
import { Follower } from "/static/scroll.js";
import { AnswerTurn, copyText, make, questionTurn } from "/static/turn.js";
import { stateOf } from "/static/words.js";

const TOO_OLD_TO_ASK = 10 * 60_000; // a question that the server never accepted is not sent by itself after this long

const $ = (id) => document.getElementById(id);
const turns = $("turns");
const prompt = $("prompt");
const send = $("send");
const picker = $("model");
const follower = new Follower($("newest"));

let chat;
let live = new Map(); // message id -> its turn
let key = remembered("penstock.key", sessionStorage);
let frame = 0;

function remembered(name, storage) {
  try {
    return storage.getItem(name);
  } catch {
    return null;
  }
}

function remember(name, value, storage) {
  try {
    storage.setItem(name, value);
  } catch {
    // Not kept: asked again next time.
  }
}

async function request(path, options = {}) {
  const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
  const response = await fetch(path, { ...options, headers, credentials: "omit", redirect: "error" });
  if (response.status === 401) $("key-row").hidden = false;
  return response;
}

const api = { fetch: request, onChange: changed };

// Answers -------------------------------------------------------------------------------------------------------------

function changed(answer) {
  if (answer.record.position || answer.ended) chat.touch();
  if (answer.ended) announce(answer);
  // One publish per frame. A hidden tab gets no frames, and needs none: the words are in the record.
  frame ||= requestAnimationFrame(publish);
}

function publish() {
  frame = 0;
  for (const turn of live.values()) if (turn instanceof AnswerTurn) turn.update();
  showComposer();
  if (chat.messages.length) follower.grown();
}

const announced = new WeakSet();

function announce(answer) {
  if (announced.has(answer)) return;
  announced.add(answer);
  const { error, outcome } = answer.record;
  say(error ? `The answer ended with an error: ${error.message}` : outcome === "cancelled" ? "Stopped." : "The answer is complete.");
  chat.save();
}

function say(words) {
  $("status").textContent = words;
}

function current() {
  const answers = [...live.values()].filter((turn) => turn instanceof AnswerTurn).map((turn) => turn.answer);
  return answers.findLast((answer) => !answer.ended);
}

function follow(answer) {
  if (answer.ended) return;
  const { record } = answer;
  if (!record.stream && Date.now() - record.at > TOO_OLD_TO_ASK) {
    record.error = { code: "not_sent", message: "This was never sent.", retryable: true };
    record.outcome = "not_sent";
    return;
  }
  answer.follow(chat.question(record)).then(() => addressBar());
}

/** Show every message of the conversation that is not shown yet, and follow every answer that has not ended. */
function show() {
  for (const message of chat.messages) {
    if (live.has(message.id)) {
      if (message.replaced) live.get(message.id).element?.remove();
      continue;
    }
    if (message.replaced) continue;
    if (message.role === "user") {
      live.set(message.id, message);
      turns.append(questionTurn(message));
      continue;
    }
    const answer = new Answer(message, api);
    if (answer.ended) announced.add(answer);
    else follow(answer);
    const turn = new AnswerTurn(answer, { keyed: () => Boolean(key), onAgain: () => again(message) });
    live.set(message.id, turn);
    turns.append(turn.element);
  }
  for (const old of turns.querySelectorAll(".latest")) old.classList.remove("latest");
  turns.lastElementChild?.classList.add("latest");
  $("empty").hidden = chat.messages.length > 0;
  document.body.classList.toggle("talking", chat.messages.length > 0);
  publish();
}

function enter(next) {
  if (chat) chat.save();
  for (const turn of live.values()) if (turn instanceof AnswerTurn) turn.answer.detach();
  live = new Map();
  turns.replaceChildren();
  chat = next;
  chat.enter();
  show();
  if (chat.messages.length) follower.toEnd();
}

/** The address names the newest answer, so that it can be opened in another tab, or on another machine. */
function addressBar() {
  const stream = chat.messages.findLast((message) => message.stream)?.stream;
  const wanted = stream ? `#${stream}` : "";
  if (location.hash !== wanted) history.replaceState(null, "", wanted || location.pathname);
}

const streamInAddress = () => /^#([\w-]{1,128})$/.exec(location.hash)?.[1];

// Asking and stopping -------------------------------------------------------------------------------------------------

function ask(text) {
  if (!text.trim() || current() || !picker.value) return;
  chat.ask(text, picker.value);
  prompt.value = "";
  say("Sent.");
  show();
  follower.toEnd();
}

function again(failed) {
  if (current()) return;
  chat.askAgain(failed, picker.value);
  show();
  follower.toEnd();
}

function stop() {
  current()?.stop();
  prompt.focus();
}

function showComposer() {
  const answering = current();
  const label = answering ? "Stop" : "Send";
  if (send.textContent !== label) send.textContent = label;
  send.classList.toggle("stop", Boolean(answering));
  document.title = answering ? `${stateOf(answering).words} · Penstock` : "Penstock";
  if (answering?.record.stream && !location.hash.endsWith(answering.record.stream)) addressBar();
}

prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask(prompt.value);
});
send.addEventListener("click", () => (current() ? stop() : ask(prompt.value)));
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && current()) stop();
  if (event.key === "/" && !/^(TEXTAREA|INPUT|SELECT)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    prompt.focus();
  }
});
for (const example of document.querySelectorAll("[data-example]")) {
  example.addEventListener("click", () => ask(example.dataset.example));
}
turns.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy=code]");
  if (button) copyText(button, button.closest(".code").querySelector("code").textContent);
});
$("new").addEventListener("click", () => {
  // "Back" leads to the conversation that was left.
  if (chat.messages.length) history.pushState(null, "", location.pathname);
  enter(new Chat());
  prompt.focus();
});

// The page's life -----------------------------------------------------------------------------------------------------

function check() {
  for (const turn of live.values()) if (turn instanceof AnswerTurn) turn.answer.check();
}

addEventListener("online", check);
addEventListener("pageshow", check);
addEventListener("pagehide", () => chat.save());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") chat.save();
  else check();
});
addEventListener("popstate", () => enter(Chat.open(streamInAddress())));
addEventListener("storage", (event) => {
  if (event.key !== chat.storageKey) return;
  chat.merge();
  show();
});

$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  remember("penstock.theme", root.dataset.theme, localStorage);
});

// Models and the key --------------------------------------------------------------------------------------------------

async function loadModels() {
  try {
    const response = await request("/v1/models");
    if (!response.ok) return;
    const models = (await response.json()).data.map((model) => model.id);
    const chosen = remembered("penstock.model", localStorage);
    picker.replaceChildren(...models.map((id) => make("option", { value: id, selected: id === chosen }, id)));
    showModel();
  } catch {
    setTimeout(loadModels, 2000); // the server can't be reached yet
  }
}

function showModel() {
  prompt.placeholder = picker.value ? "Ask something" : "No model to ask";
  $("demo").hidden = picker.value !== "demo";
}

picker.addEventListener("change", () => {
  remember("penstock.model", picker.value, localStorage);
  showModel();
});
$("key").addEventListener("change", () => {
  key = $("key").value.trim() || null;
  remember("penstock.key", key ?? "", sessionStorage);
  $("key-row").hidden = true;
  loadModels();
});

enter(Chat.open(streamInAddress()));
loadModels();
prompt.focus({ preventScroll: true });
