// An answer's text in the page: one streaming view, fed as the text grows. React never touches what is inside.

import { createHighlighter, createMarkdownView, type MarkdownView } from "@penstock/markdown";
import { memo, useLayoutEffect, useRef } from "react";

export const Markdown = memo(function Markdown({ text, whole }: { text: string; whole: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<MarkdownView | null>(null);
  useLayoutEffect(() => {
    const made = (view.current = createMarkdownView(place.current!, { highlight: createHighlighter() }));
    return () => {
      made.destroy();
      view.current = null;
    };
  }, []);
  useLayoutEffect(() => {
    view.current?.update(text);
    if (whole) view.current?.finish();
  }, [text, whole]);
  return <div className="answer" ref={place} />;
});
