// What is kept in this browser; in the memory of this page, where the browser forbids storage or has no room left.

import type { KeyStorage } from "@penstock/client";

export interface Keeping extends KeyStorage {
  keys(): string[];
}

function keeping(place: () => Storage): Keeping {
  const memory = new Map<string, string>();
  const browser = () => {
    try {
      return place(); // only to name it throws, where it is forbidden
    } catch {
      return null;
    }
  };
  return {
    getItem: (key) => memory.get(key) ?? browser()?.getItem(key) ?? null,
    setItem(key, value) {
      try {
        browser()!.setItem(key, value);
        memory.delete(key);
      } catch {
        memory.set(key, value);
      }
    },
    removeItem(key) {
      memory.delete(key);
      browser()?.removeItem(key);
    },
    keys: () => [...new Set([...memory.keys(), ...Object.keys(browser() ?? {})])],
  };
}

/** Of all tabs, and for good. */
export const storage = keeping(() => localStorage);

/** Of this tab, as long as it is open. */
export const session = keeping(() => sessionStorage);

const DRAFT = "penstock.draft.";

/** What is written and not sent yet, by conversation. A tab has its own: two that write at once would fight. */
export const drafts = {
  get: (id: string): string => session.getItem(DRAFT + id) ?? "",
  keep(id: string, text: string): void {
    if (text) session.setItem(DRAFT + id, text);
    else session.removeItem(DRAFT + id);
  },
};
