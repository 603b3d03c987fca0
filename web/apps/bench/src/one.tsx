// One streamed answer in one page. The store, the frames and the scrolling are the same; only the renderer differs.

import { createChat, sse } from "@penstock/client";
import { useStreamingChat } from "@penstock/react";
import { useLayoutEffect, type ComponentType } from "react";
import { createRoot } from "react-dom/client";
import { follow } from "./follow.ts";
import { begin, ended, probe } from "./probe.ts";

export interface BodyProps {
  text: string;
  streaming: boolean;
}

const chat = createChat({ transport: sse({ api: "/v1/streams" }), model: "m" });

function One({ Body }: { Body: ComponentType<BodyProps> }) {
  const { messages } = useStreamingChat({ chat });
  const answer = messages.findLast(({ role }) => role === "assistant");
  const text = answer?.text ?? "";
  useLayoutEffect(() => {
    if (text) probe.shown.push([performance.now(), text.length]);
  }, [text]);
  return (
    <div className="scroll" ref={(element) => (element ? follow(element) : undefined)}>
      <div className="text">{text && <Body text={text} streaming={answer?.state === "streaming"} />}</div>
    </div>
  );
}

export function show(Body: ComponentType<BodyProps>): void {
  createRoot(document.getElementById("bench")!).render(<One Body={Body} />);
  begin(() => void chat.sendMessage({ text: "Write the long answer" }).then(() => ended(1)));
}
