// What a screen reader is told: that an answer has begun, that it has ended, and how; and its sentences, for who wants them.

import type { Chat } from "@penstock/client";
import { useChatValue } from "@penstock/react";
import { useEffect, useRef, useState } from "react";
import { useExternal } from "./external.ts";
import { settings } from "./settings.ts";
import { ending } from "./words.ts";

const SENTENCE = /[.!?…:]["'”’)\]]*(\s+|$)|\n\n/g;

export function Announcer({ chat }: { chat: Chat }) {
  const { pacing } = useExternal(settings);
  const message = useChatValue(chat, ({ messages }) => messages.at(-1));
  const [said, setSaid] = useState("");
  const last = useRef({ id: "", state: "", told: 0 });
  const words = message?.role === "assistant" ? message : null;

  useEffect(() => {
    if (!words || pacing === "off") return;
    const before = last.current;
    const state = words.state === "ended" ? "ended" : words.text || words.reasoning ? "streaming" : "asked";
    if (words.id !== before.id) {
      last.current = { id: words.id, state, told: words.state === "ended" ? words.text.length : 0 };
      if (state !== "ended") setSaid(state === "streaming" ? "The answer is coming." : "");
      return;
    }
    if (state !== before.state) {
      before.state = state;
      if (state === "streaming") return setSaid("The answer is coming.");
      if (state === "ended") {
        const rest = pacing === "sentence" ? words.text.slice(before.told) : "";
        const end = words.error ? `${words.text || words.reasoning ? "The answer broke off" : "There is no answer"}: ${words.error.message}` : `The answer is ${ending(words).words}.`;
        before.told = words.text.length;
        return setSaid(rest ? `${rest} ${end}` : end);
      }
    }
    if (pacing === "sentence" && state === "streaming") {
      let until = before.told;
      for (const { index, 0: match } of words.text.slice(before.told).matchAll(SENTENCE)) {
        until = before.told + index + match.length;
      }
      if (until > before.told + 40) {
        setSaid(words.text.slice(before.told, until));
        before.told = until;
      }
    }
  }, [words, pacing]);

  return (
    <p className="unseen" role="status" aria-live="polite">
      {said}
    </p>
  );
}
