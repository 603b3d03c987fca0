// What opens over the page: settings, the keys, and the question for an API key.

import { useEffect, useRef, type ReactNode } from "react";
import { keepKey, storedKey } from "./api.ts";
import { useExternal } from "./external.ts";
import { open } from "./library.ts";
import { settings, type Settings } from "./settings.ts";
import { Deed } from "./turn.tsx";

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
        <span>What the model is told first</span>
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
          onChange={(event) => set({ temperature: event.target.value === "" ? null : Number(event.target.value) })}
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

function KeyField() {
  return (
    <form
      className="field"
      onSubmit={(event) => {
        event.preventDefault();
        keepKey(String(new FormData(event.currentTarget).get("key") ?? "").trim());
        open();
      }}
    >
      <label htmlFor="key">API key of this server, if it wants one</label>
      <input type="text" name="username" autoComplete="username" defaultValue="penstock" hidden />
      <div className="line">
        <input id="key" name="key" type="password" autoComplete="current-password" spellCheck={false} defaultValue={storedKey()} />
        <button type="submit" className="primary">Use it</button>
      </div>
    </form>
  );
}

export function KeyDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="This server asks for a key" onClose={onClose}>
      <p>It has tenants, and wants to know whose conversations these are. The key stays in this browser.</p>
      <KeyField />
    </Dialog>
  );
}

const KEYS: [keys: string, what: string][] = [
  ["Enter", "send, or queue while an answer comes"],
  ["Shift Enter", "a new line"],
  ["Esc", "stop the answer"],
  ["Ctrl K", "search conversations"],
  ["Ctrl Shift O", "a new conversation"],
  ["Ctrl B", "show or hide the list"],
  ["Alt ↑ / Alt ↓", "the conversation above or below"],
  ["End", "to the newest words (in the conversation)"],
  ["/", "to the message"],
  ["?", "this list"],
];

export function KeysDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="keylist">
        {KEYS.map(([keys, what]) => (
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
