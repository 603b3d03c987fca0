// The one writer of the thread's scroll position.
//
// It follows the newest words until the reader moves away from them, by wheel, touch or key; and again once they are back
// at the end. What grows above what is being read does not move it: that is the browser's scroll anchoring.

import { External } from "./external.ts";

const NEAR = 48;

export class Following {
  readonly on = new External(true);
  #element: HTMLElement | null = null;
  #content: ResizeObserver | null = null;
  #written = -1;
  #touch: number | null = null;

  attach = (element: HTMLElement | null): (() => void) | undefined => {
    this.#element = element;
    if (!element) return undefined;
    const off = new AbortController();
    const listen = <K extends keyof HTMLElementEventMap>(name: K, f: (event: HTMLElementEventMap[K]) => void) =>
      element.addEventListener(name, f, { passive: true, signal: off.signal });
    listen("wheel", (event) => event.deltaY < 0 && this.#away());
    listen("touchstart", (event) => (this.#touch = event.touches[0]?.clientY ?? null));
    listen("touchmove", (event) => {
      const y = event.touches[0]?.clientY ?? 0;
      if (this.#touch !== null && y > this.#touch + 4) this.#away();
    });
    listen("keydown", (event) => {
      if (["ArrowUp", "PageUp", "Home"].includes(event.key) && !(event.target instanceof HTMLTextAreaElement)) this.#away();
    });
    listen("focusin", (event) => event.target instanceof HTMLTextAreaElement && this.#away()); // a message is being edited
    listen("scroll", () => {
      // Our own writes come back as events too, and say nothing about the reader.
      if (Math.abs(element.scrollTop - this.#written) < 2) return;
      this.#written = -1;
      if (this.#distance() <= NEAR) this.on.set(true);
      else if (this.#distance() > element.clientHeight) this.on.set(false); // by the scroll bar, or by a search
    });
    this.#content = new ResizeObserver(() => this.#keep());
    this.#content.observe(element);
    if (element.firstElementChild) this.#content.observe(element.firstElementChild);
    this.toEnd();
    return () => {
      off.abort();
      this.#content?.disconnect();
    };
  };

  /** To the newest words, and stay there. */
  toEnd = (): void => {
    this.on.set(true);
    this.#keep();
  };

  #away(): void {
    const element = this.#element;
    if (element && element.scrollHeight > element.clientHeight + 1) this.on.set(false);
  }

  #distance(): number {
    const element = this.#element!;
    return element.scrollHeight - element.clientHeight - element.scrollTop;
  }

  #keep(): void {
    const element = this.#element;
    if (!element || !this.on.get() || this.#distance() < 1) return;
    element.scrollTop = element.scrollHeight;
    this.#written = element.scrollTop;
  }
}
