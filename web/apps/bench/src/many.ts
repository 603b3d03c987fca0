// Many streamed answers at once in one page, each in a view of its own.

import { createChat, sse } from "@penstock/client";
import { createHighlighter, createMarkdownView } from "@penstock/markdown";
import "@penstock/markdown/markdown.css";
import { paced } from "@penstock/react";
import { follow } from "./follow.ts";
import { begin, ended, probe, watch } from "./probe.ts";

/** A browser opens six HTTP/1.1 connections to one host. All these addresses are led to one server. */
const PER_HOST = 5;

export function showMany(count: number): void {
  const place = document.getElementById("bench")!;
  place.className = "many";
  const highlight = createHighlighter();
  const chats = Array.from({ length: count }, (_, number) => {
    const scroll = document.createElement("div");
    scroll.className = "scroll";
    const text = document.createElement("div");
    scroll.append(text);
    place.append(scroll);
    follow(scroll);
    const view = createMarkdownView(text, { highlight });
    const api = `http://127.0.1.${Math.floor(number / PER_HOST)}:${location.port}/v1/streams`;
    const chat = createChat({ transport: sse({ api }), model: "m" });
    const store = paced(chat);
    store.subscribe(() => {
      const answer = store.getSnapshot().messages.at(-1);
      if (answer?.role !== "assistant") return;
      view.update(answer.text);
      if (answer.state === "ended") view.finish();
    });
    return { chat, store };
  });
  const characters = () =>
    chats.reduce((sum, { store }) => sum + (store.getSnapshot().messages.at(-1)?.text.length ?? 0), 0);
  begin(() => {
    watch();
    for (const { chat } of chats) {
      void chat.sendMessage({ text: "Write the long answer" }).then(() => {
        ended(count);
        if (probe.ended === count) probe.shown.push([performance.now(), characters()]);
      });
    }
    probe.shown.push([performance.now(), 0]);
  });
}
