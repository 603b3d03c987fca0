// What a person prefers, kept in this browser.

import type { AskOptions } from "@penstock/client";
import type { KeyboardEvent } from "react";
import { External } from "./external.ts";
import { storage } from "./storage.ts";

export interface Settings {
  theme: "system" | "light" | "dark";
  /** What a screen reader is told while an answer comes: nothing, its beginning and end, or each sentence. */
  pacing: "off" | "summary" | "sentence";
  /** Enter sends; otherwise Ctrl+Enter does. */
  enterSends: boolean;
  system: string;
  temperature: number | null;
  model: string | null;
  sidebar: boolean;
}

const KEY = "penstock.settings";
const FIRST: Settings = {
  theme: "system", pacing: "summary", enterSends: true, system: "", temperature: null, model: null, sidebar: true,
};

type Name = keyof Settings;
const oneOf = (...words: string[]) => (value: unknown) => typeof value === "string" && words.includes(value);
const isText = (value: unknown) => typeof value === "string";
const isSwitch = (value: unknown) => typeof value === "boolean";
const IS: Record<Name, (value: unknown) => boolean> = {
  theme: oneOf("system", "light", "dark"),
  pacing: oneOf("off", "summary", "sentence"),
  enterSends: isSwitch,
  system: isText,
  temperature: (value) => value === null || (typeof value === "number" && value >= 0 && value <= 2),
  model: (value) => value === null || isText(value),
  sidebar: isSwitch,
};

/** What is kept, as far as it can be meant: another version of the page wrote it, or somebody by hand. */
function stored(): Settings {
  try {
    const kept = Object.entries(JSON.parse(storage.getItem(KEY) ?? "{}") as object);
    const meant = kept.filter(([name, value]) => Object.hasOwn(IS, name) && IS[name as Name](value));
    return { ...FIRST, ...Object.fromEntries(meant) };
  } catch {
    return FIRST;
  }
}

export const settings = new External<Settings>(stored());

function apply(): void {
  const { theme } = settings.get();
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

settings.subscribe(() => {
  storage.setItem(KEY, JSON.stringify(settings.get()));
  apply();
});
window.addEventListener("storage", (event) => {
  if (event.key === KEY) settings.set(stored());
});
apply();

/** How a question is to be answered, as it is set now. */
export function asking(): AskOptions {
  const { model, system, temperature } = settings.get();
  return { ...(model !== null && { model }), system: system.trim() || undefined, temperature: temperature ?? undefined };
}

/** Does this key send what is being written? Otherwise it is a key as any other. */
export function sends(event: KeyboardEvent): boolean {
  if (event.key !== "Enter" || event.nativeEvent.isComposing) return false;
  const command = event.ctrlKey || event.metaKey;
  return settings.get().enterSends ? !event.shiftKey && !command : command;
}
