import { Streamdown } from "streamdown";
import "streamdown/styles.css";
import { show, type BodyProps } from "./one.tsx";

function Body({ text, streaming }: BodyProps) {
  return <Streamdown isAnimating={streaming}>{text}</Streamdown>;
}

show(Body);
