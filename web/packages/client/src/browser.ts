// What a chat hears of the browser around it. Passed in, so that nothing here needs a page.

/** `back`: the page is shown again, or the network is there again: look now instead of later. */
export type Occasion = "back" | "offline";

export interface Surroundings {
  isOnline(): boolean;
  /** Returns how to stop listening. */
  listen(hear: (occasion: Occasion) => void): () => void;
}

/** A place that is always online, and where nothing ever happens. */
export const nowhere: Surroundings = { isOnline: () => true, listen: () => () => {} };

/** What is needed of `window`. */
export interface Page {
  readonly navigator: { readonly onLine: boolean };
  readonly document: EventTarget & { readonly visibilityState: string };
  addEventListener(name: string, listener: () => void): void;
  removeEventListener(name: string, listener: () => void): void;
}

/** The surroundings of this page; nowhere, where there is none. */
export function browser(page: Page | undefined = typeof window === "undefined" ? undefined : window): Surroundings {
  if (page === undefined) return nowhere;
  return {
    isOnline: () => page.navigator.onLine !== false,
    listen(hear) {
      const back = () => hear("back");
      const offline = () => hear("offline");
      const visible = () => {
        if (page.document.visibilityState === "visible") hear("back");
      };
      page.addEventListener("online", back);
      page.addEventListener("pageshow", back); // also out of the back/forward cache, where connections died
      page.addEventListener("offline", offline);
      page.document.addEventListener("visibilitychange", visible);
      return () => {
        page.removeEventListener("online", back);
        page.removeEventListener("pageshow", back);
        page.removeEventListener("offline", offline);
        page.document.removeEventListener("visibilitychange", visible);
      };
    },
  };
}
