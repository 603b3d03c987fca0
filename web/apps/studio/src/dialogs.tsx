// What opens over the page: settings, the keys, and the question for an API key.

import { ChatError } from "@penstock/client";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { api, keepKey, storedKey } from "./api.ts";
import { useExternal } from "./external.ts";
import { open } from "./library.ts";
import { settings, type Settings } from "./settings.ts";
import { Deed } from "./turn.tsx";
import { sentence } from "./words.ts";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
}

function Dialog({ title, onClose, children }: DialogProps) {
  const place = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = place.current!;
    if (!dialog.open) dialog.showModal();
    dialog.querySelector<HTMLElement>("[data-first]")?.focus(); // where the browser would go to the first button
  }, []);
  return (
    <dialog
      ref={place}
      aria-labelledby="dialog-title"
      onClose={onClose}
      onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}
    >
      <div className="sheet">
        <header>
          <h2 id="dialog-title">{title}</h2>
          <Deed icon="close" name="Close" onClick={() => place.current?.close()} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

export function SettingsDialog({ onClose }: { onClose: () => void }) {
  const chosen = useExternal(settings);
  const set = (change: Partial<Settings>) => settings.change(change);
  return (
    <Dialog title="Settings" onClose={onClose}>
      <Choice
        legend="Look"
        value={chosen.theme}
        options={{ system: "As the system", light: "Light", dark: "Dark" }}
        onChange={(theme) => set({ theme })}
      />
      <Choice
        legend="Enter"
        value={chosen.enterSends ? "send" : "line"}
        options={{ send: "Sends", line: "Makes a new line" }}
        onChange={(enter) => set({ enterSends: enter === "send" })}
      />
      <Choice
        legend="A screen reader is told"
        value={chosen.pacing}
        options={{ off: "Nothing", summary: "Beginning and end", sentence: "Each sentence" }}
        onChange={(pacing) => set({ pacing })}
      />
      <label className="field">
        <span>System prompt: what the model is told first</span>
        <textarea rows={3} value={chosen.system} onChange={(event) => set({ system: event.target.value })} />
      </label>
      <label className="field short">
        <span>Temperature</span>
        <input
          type="number"
          min={0}
          max={2}
          step={0.1}
          placeholder="the model's own"
          value={chosen.temperature ?? ""}
          onChange={(event) => set({ temperature: event.target.value === "" ? null : Math.min(2, Math.max(0, Number(event.target.value))) })}
        />
      </label>
      <KeyField />
    </Dialog>
  );
}

interface ChoiceProps<T extends string> {
  legend: string;
  value: T;
  options: Record<T, string>;
  onChange: (value: T) => void;
}

function Choice<T extends string>({ legend, value, options, onChange }: ChoiceProps<T>) {
  return (
    <fieldset className="choice">
      <legend>{legend}</legend>
      {(Object.entries(options) as [T, string][]).map(([name, words]) => (
        <label key={name}>
          <input type="radio" name={legend} checked={name === value} onChange={() => onChange(name)} />
          <span>{words}</span>
        </label>
      ))}
    </fieldset>
  );
}

function KeyField({ asked = false }: { asked?: boolean }) {
  const [said, setSaid] = useState("");
  return (
    <form
      className="field"
      onSubmit={(event) => {
        event.preventDefault();
        setSaid("");
        keepKey(String(new FormData(event.currentTarget).get("key") ?? "").trim());
        open();
        api.models().then(
          () => setSaid("It is used from now on."),
          (error: unknown) => setSaid(error instanceof ChatError ? sentence(error.message) : "The server can't be reached."),
        );
      }}
    >
      <label htmlFor="key">{asked ? "Your key" : "API key of this server, if it wants one"}</label>
      <input type="text" name="username" autoComplete="username" defaultValue="penstock" hidden />
      <div className="line">
        <input id="key" name="key" type="password" autoComplete="current-password" spellCheck={false} defaultValue={storedKey()} data-first={asked || undefined} />
        <button type="submit" className="primary">Use it</button>
      </div>
      <p className="said" role="status">{said}</p>
    </form>
  );
}

export function KeyDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="This server asks for a key" onClose={onClose}>
      <p>It has tenants, and wants to know whose conversations these are. The key stays in this browser.</p>
      <KeyField asked />
    </Dialog>
  );
}

const KEYS: [keys: string, what: string][] = [
  ["Esc", "stop the answer"],
  ["Ctrl K", "search conversations"],
  ["Ctrl Shift O", "a new conversation"],
  ["Ctrl B", "show or hide the list"],
  ["Alt ↑ / Alt ↓", "the conversation above or below"],
  ["End", "to the newest words (in the conversation)"],
  ["/", "to the message"],
  ["Ctrl /", "this list (and ? outside of text fields)"],
];

export function KeysDialog({ onClose }: { onClose: () => void }) {
  const { enterSends } = useExternal(settings);
  const sending: typeof KEYS = [
    [enterSends ? "Enter" : "Ctrl Enter", "send, or queue while an answer comes"],
    [enterSends ? "Shift Enter" : "Enter", "a new line"],
  ];
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="keylist">
        {[...sending, ...KEYS].map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
