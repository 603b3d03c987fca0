// Where one writes: the message, what is queued, which model answers, or which two.

import type { Chat } from "@penstock/client";
import { useChatValue } from "@penstock/react";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { useAddress } from "./address.ts";
import { useExternal } from "./external.ts";
import { Icon } from "./icons.tsx";
import { shelf } from "./library.ts";
import { asking, sends, settings } from "./settings.ts";
import { drafts } from "./storage.ts";
import { Deed, toPrompt } from "./turn.tsx";

interface ComposerProps {
  chat: Chat;
  /** Called before the first message of a conversation is sent. */
  onFirst: () => void;
  onKeys: () => void;
}

export function Composer({ chat, onFirst, onKeys }: ComposerProps) {
  const place = useAddress() ?? "new"; // a new conversation has another id after a reload
  const [text, setText] = useState(() => drafts.get(place));
  const [beside, setBeside] = useState<string | null>(null);
  const { models } = useExternal(shelf);
  const { model, enterSends } = useExternal(settings);
  const busy = useChatValue(chat, ({ status }) => status === "submitted" || status === "streaming");
  // What is said in a conversation that was deleted is refused: better it stays here.
  const deleted = useChatValue(chat, ({ missing, messages }) => missing && messages.length > 0);
  const box = useRef<HTMLTextAreaElement>(null);

  useEffect(() => box.current?.focus({ preventScroll: true }), [chat]);
  useEffect(() => drafts.keep(place, text), [place, text]);
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
    if (!said || !model || deleted) return;
    drafts.keep(place, "");
    onFirst(); // now the conversation has an address
    setText("");
    if (beside) void chat.compare(said, [model, beside], asking());
    else void chat.sendMessage({ text: said, ...asking() });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (!sends(event)) return;
    event.preventDefault();
    send();
  };
  const stops = busy && !text.trim();

  return (
    <div className="dock"><div className="desk">
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
          <button type="submit" className={stops ? "send stop" : "send"} disabled={!stops && (!text.trim() || !model || deleted)}>
            {stops ? "Stop" : busy ? "Queue" : "Send"}
          </button>
        </div>
      </form>
      <p className="keys">
        <span><kbd>{enterSends ? "Enter" : "Ctrl Enter"}</kbd> sends</span> <span><kbd>Esc</kbd> stops</span>{" "}
        <span><kbd>Ctrl K</kbd> finds</span> <button type="button" onClick={onKeys}><kbd>Ctrl /</kbd> all keys</button>
      </p>
    </div></div>
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
      {queued.map(({ id, text, models }) => (
        <li key={id}>
          <span className="label">{models.length > 0 ? "next, to both" : "next"}</span>
          {/* The box has its own text: what the store says comes a frame later, and would move the cursor. */}
          <input aria-label="A message that waits" defaultValue={text} onChange={(event) => chat.editQueued(id, event.target.value)} />
          <Deed
            icon="close"
            name="Do not send it"
            onClick={() => {
              chat.removeQueued(id);
              toPrompt();
            }}
          />
        </li>
      ))}
    </ul>
  );
}
