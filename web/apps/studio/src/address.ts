// Which conversation the address names: `/c/{id}`, or `/` for a new one.

import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();

function named(): string | null {
  return /^\/c\/([A-Za-z0-9_-]{8,64})$/.exec(location.pathname)?.[1] ?? null;
}

export function go(id: string | null, how: "push" | "replace" = "push"): void {
  if (named() === id) return;
  history[how === "push" ? "pushState" : "replaceState"](null, "", id === null ? "/" : `/c/${id}`);
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    removeEventListener("popstate", listener);
  };
}

export function useAddress(): string | null {
  return useSyncExternalStore(subscribe, named);
}
