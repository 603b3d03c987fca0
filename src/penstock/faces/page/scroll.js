// The one writer of the scroll position: follows the end while the reader is there, and lets go at the first move up.

export class Follower {
  #sticks = true;
  #lastTop = 0;

  /** @param {HTMLButtonElement} button shown while the end is out of sight */
  constructor(button) {
    this.button = button;
    const letGo = () => this.#stick(false);
    addEventListener("wheel", (event) => event.deltaY < 0 && letGo(), { passive: true });
    addEventListener("scroll", () => this.#scrolled(), { passive: true });
    button.addEventListener("click", () => this.toEnd());
  }

  get #atEnd() {
    const page = document.documentElement;
    return page.scrollHeight - scrollY - innerHeight < 40;
  }

  /** After the page has grown. */
  grown() {
    if (!this.#sticks) return;
    const top = document.documentElement.scrollHeight;
    scrollTo({ top, behavior: "instant" });
    this.#lastTop = scrollY;
  }

  toEnd() {
    this.#stick(true);
    this.grown();
  }

  #scrolled() {
    // Touch, keyboard and scrollbar say nothing of their own: a position above the last one is a move up.
    if (scrollY < this.#lastTop - 2 && !this.#atEnd) this.#stick(false);
    else if (this.#atEnd) this.#stick(true);
    this.#lastTop = scrollY;
  }

  #stick(sticks) {
    this.#sticks = sticks;
    this.button.hidden = sticks || this.#atEnd;
  }
}
