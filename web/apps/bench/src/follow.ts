// Scrolls to the newest words whenever the content has grown. The same for every renderer.

export function follow(element: HTMLElement): () => void {
  const observer = new ResizeObserver(() => {
    element.scrollTop = element.scrollHeight;
  });
  observer.observe(element.firstElementChild!);
  return () => observer.disconnect();
}
