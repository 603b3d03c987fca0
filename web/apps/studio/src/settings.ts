// What a person prefers, kept in this browser.

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

function stored(): Settings {
  try {
    return { ...FIRST, ...(JSON.parse(storage.getItem(KEY) ?? "{}") as Partial<Settings>) };
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
