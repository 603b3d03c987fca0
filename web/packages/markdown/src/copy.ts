// The button of a block of code: one listener for all of them.

const SHOWN_MS = 2_000;

/**
 * Let the copy buttons in `root` copy. Returns how to stop it.
 * @param take what takes the text; the clipboard if not given
 */
export function copyCode(root: HTMLElement, take: ((text: string) => void | Promise<void>) | undefined): () => void {
  const onClick = (event: Event): void => {
    const button = event.target instanceof Element ? event.target.closest(".md-copy") : null;
    const text = button?.closest(".md-code")?.querySelector("pre > code")?.textContent;
    if (!button || text === undefined || text === null) return;
    void copied(button, text, take ?? ((copy) => navigator.clipboard.writeText(copy)));
  };
  root.addEventListener("click", onClick);
  return () => root.removeEventListener("click", onClick);
}

async function copied(button: Element, text: string, take: (text: string) => void | Promise<void>): Promise<void> {
  let said = "Copied";
  try {
    await take(text);
  } catch {
    said = "Not copied";
  }
  label(button, said, said);
  setTimeout(() => label(button, "Copy", "Copy code"), SHOWN_MS);
}

function label(button: Element, text: string, name: string): void {
  button.textContent = text;
  button.setAttribute("aria-label", name);
}
