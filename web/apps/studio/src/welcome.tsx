// What is shown before anything was asked.

import { useExternal } from "./external.ts";
import { shelf } from "./library.ts";

const EXAMPLES: [name: string, text: string][] = [
  ["A question", "Why does a river never run backwards?"],
  ["A long answer", "Tell me a long story about water, gates and turbines"],
  ["Some code", "Write python code about falling water"],
  ["A few lines of CSV", "gate,width,flow\nnorth,2.4,31\nsouth,1.8,22\nspill,5,118"],
];

export function Welcome() {
  const { models } = useExternal(shelf);
  const demo = models.length === 1 && models[0]?.id === "demo";
  return (
    <section className="welcome">
      <h2>
        Every word arrives.
        <br />
        Once.
      </h2>
      <p>
        Ask something, and watch the answer come down the pipe. Then try to break it: reload in the middle, pull the plug, open
        this address in a second tab. The answer goes on, with no word lost and none doubled.
      </p>
      <ul className="examples">
        {EXAMPLES.map(([name, text]) => (
          <li key={name}>
            <button type="button" onClick={() => dispatchEvent(new CustomEvent("penstock:draft", { detail: text }))}>
              <b>{name}</b>
              <span>{text.replaceAll("\n", " ↵ ")}</span>
            </button>
          </li>
        ))}
      </ul>
      {demo && (
        <p className="plain">
          <b>This is the built-in demo model: no AI.</b> It answers with your own words. For a real one, set <code>OPENAI_API_KEY</code>{" "}
          and start again, or write a configuration.
        </p>
      )}
    </section>
  );
}
