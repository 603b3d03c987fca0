// Where one writes: the message, what is queued, which model answers, or which two.

import type { Chat } from "@penstock/client";
import { useChatValue } from "@penstock/react";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { useExternal } from "./external.ts";
import { Icon } from "./icons.tsx";
import { shelf } from "./library.ts";
import { settings } from "./settings.ts";
import { Deed } from "./turn.tsx";

interface ComposerProps {
  chat: Chat;
  /** Called before the first message of a conversation is sent. */
  onFirst: () => void;
}

const drafts = new Map<string, string>();

export function Composer({ chat, onFirst }: ComposerProps) {
  const [text, setText] = useState(drafts.get(chat.id) ?? "");
  const [beside, setBeside] = useState<string | null>(null);
  const { models } = useExternal(shelf);
  const { model, system, temperature, enterSends } = useExternal(settings);
  const busy = useChatValue(chat, ({ status }) => status === "submitted" || status === "streaming");
  const box = useRef<HTMLTextAreaElement>(null);

  useEffect(() => box.current?.focus({ preventScroll: true }), [chat]);
  useEffect(() => void drafts.set(chat.id, text), [chat, text]);
  useEffect(() => {
    const fill = (event: CustomEvent<string>) => {
      setText(event.detail);
      box.current?.focus();
    };
    addEventListener("penstock:draft", fill as EventListener);
    return () => removeEventListener("penstock:draft", fill as EventListener);
  }, []);

  const send = () => {
    const said = text.trim();
    if (!said || !model) return;
    onFirst();
    setText("");
    const ask = { model, ...(system && { system }), ...(temperature !== null && { temperature }) };
    if (beside && !busy) void chat.compare(said, [model, beside], ask);
    else void chat.sendMessage({ text: said, ...ask });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
    const sends = enterSends ? !event.shiftKey && !event.ctrlKey && !event.metaKey : event.ctrlKey || event.metaKey;
    if (!sends) return;
    event.preventDefault();
    send();
  };
  const stops = busy && !text.trim();

  return (
    <div className="dock">
      <Queue chat={chat} />
      <form
        className="composer"
        onSubmit={(event) => {
          event.preventDefault();
          if (stops) chat.stop();
          else send();
        }}
      >
        <label htmlFor="prompt" className="unseen">Your message</label>
        <textarea
          id="prompt"
          ref={box}
          rows={1}
          value={text}
          placeholder={busy ? "Write the next one: it is sent after this answer" : "Ask something"}
          enterKeyHint="send"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <div className="bar">
          <Picker label="Model" value={model} models={models.map(({ id }) => id)} onChange={(id) => settings.change({ model: id })} />
          {models.length > 0 && (
            <>
              <button
                type="button"
                className="deed"
                aria-pressed={beside !== null}
                aria-label="Two models side by side"
                title="Two models side by side"
                onClick={() => setBeside(beside === null ? (models.find(({ id }) => id !== model)?.id ?? model) : null)}
              >
                <Icon name="beside" />
              </button>
              {beside !== null && (
                <Picker label="Second model" value={beside} models={models.map(({ id }) => id)} onChange={setBeside} />
              )}
            </>
          )}
          <button type="submit" className={stops ? "send stop" : "send"} disabled={!stops && (!text.trim() || !model)}>
            {stops ? "Stop" : busy ? "Queue" : "Send"}
          </button>
        </div>
      </form>
      <p className="keys">
        <span><kbd>{enterSends ? "Enter" : "Ctrl Enter"}</kbd> sends</span> <span><kbd>Esc</kbd> stops</span>{" "}
        <span><kbd>Ctrl K</kbd> finds</span> <span><kbd>?</kbd> all keys</span>
      </p>
    </div>
  );
}

interface PickerProps {
  label: string;
  value: string | null;
  models: readonly string[];
  onChange: (model: string) => void;
}

function Picker({ label, value, models, onChange }: PickerProps) {
  return (
    <label className="picker">
      <span className="unseen">{label}</span>
      <select value={value ?? ""} onChange={(event) => onChange(event.target.value)}>
        {models.length === 0 && <option value="">no models</option>}
        {models.map((id) => (
          <option key={id} value={id}>{id}</option>
        ))}
      </select>
    </label>
  );
}

function Queue({ chat }: { chat: Chat }) {
  const queued = useChatValue(chat, (snapshot) => snapshot.queued);
  if (queued.length === 0) return null;
  return (
    <ul className="queue" aria-label="Sent after this answer">
      {queued.map(({ id, text }) => (
        <li key={id}>
          <span className="label">next</span>
          <input aria-label="A message that waits" value={text} onChange={(event) => chat.editQueued(id, event.target.value)} />
          <Deed icon="close" name="Do not send it" onClick={() => chat.removeQueued(id)} />
        </li>
      ))}
    </ul>
  );
}
