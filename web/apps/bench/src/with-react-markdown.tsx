import Markdown from "react-markdown";
import remarkGfm from "remark-gfm";
import { show, type BodyProps } from "./one.tsx";

const plugins = [remarkGfm];

function Body({ text }: BodyProps) {
  return <Markdown remarkPlugins={plugins}>{text}</Markdown>;
}

show(Body);
