// What is kept in this browser; in the memory of this page, where the browser forbids storage or has no room left.

import type { KeyStorage } from "@penstock/client";

const memory = new Map<string, string>();

function browser(): Storage | null {
  try {
    return localStorage; // only to name it throws, where it is forbidden
  } catch {
    return null;
  }
}

export const storage: KeyStorage = {
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
};
