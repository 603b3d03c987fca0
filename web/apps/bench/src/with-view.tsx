import { createHighlighter, createMarkdownView, type MarkdownView } from "@penstock/markdown";
import "@penstock/markdown/markdown.css";
import { useLayoutEffect, useRef } from "react";
import { show, type BodyProps } from "./one.tsx";

function Body({ text, streaming }: BodyProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<MarkdownView | null>(null);
  useLayoutEffect(() => {
    view.current ??= createMarkdownView(place.current!, { highlight: createHighlighter() });
    view.current.update(text);
    if (!streaming) view.current.finish();
  }, [text, streaming]);
  return <div ref={place} />;
}

show(Body);
