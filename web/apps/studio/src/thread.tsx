// The conversation. Turns far from what is looked at are not built: an estimate of their height stands for them.

import { togetherOf, type Chat, type Snapshot } from "@penstock/client";
import { useChatValue } from "@penstock/react";
import { memo, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { useExternal } from "./external.ts";
import { Following } from "./follow.ts";
import { Icon } from "./icons.tsx";
import { Beside, Turn } from "./turn.tsx";

const known = new WeakMap<Snapshot["siblings"], Map<string | null, string>>();

/** The turns that are shown, as text, so that it is the same while nothing but words changes: `a b+c d? e f`. */
function path(snapshot: Snapshot): string {
  // The siblings are another map whenever a message has come: until then a branch has the same turns.
  let paths = known.get(snapshot.siblings);
  if (!paths) known.set(snapshot.siblings, (paths = new Map()));
  let found = paths.get(snapshot.leaf);
  if (found === undefined) paths.set(snapshot.leaf, (found = turnsOf(snapshot)));
  return found;
}

function turnsOf({ messages, siblings }: Snapshot): string {
  return messages
    .map((message, at) => {
      if (message.role === "user") return messages[at + 1]?.role === "assistant" ? message.id : `${message.id}?`;
      // Asked for together, of several models (see `Chat.compare`): they are shown side by side.
      const together = togetherOf(message.id);
      const group = together ? siblings.get(message.id)!.filter((id) => id.startsWith(together)).sort() : [];
      return group.length > 1 ? group.join("+") : message.id;
    })
    .join(" ");
}

export function Thread({ chat, empty }: { chat: Chat; empty: ReactNode }) {
  const streaming = useChatValue(chat, ({ status }) => status === "streaming");
  const shown = useChatValue(chat, path);
  const turns = useMemo(() => (shown ? shown.split(" ") : []), [shown]);
  const [following] = useState(() => new Following());
  const away = !useExternal(following.on);
  const count = turns.length;
  useEffect(following.toEnd, [count, chat, following]);
  return (
    <div className="thread">
      <div className="scroll" ref={following.attach} tabIndex={0} role="log" aria-live="off" aria-label="Conversation">
        <div className="turns">
          {count === 0 && empty}
          {turns.map((turn, at) => (
            <Near key={turn.replace("?", "")} first={at >= count - 6}>
              {turn.includes("+") ? (
                <Beside chat={chat} ids={turn.split("+")} />
              ) : (
                <Turn chat={chat} id={turn.replace("?", "")} alone={turn.endsWith("?")} />
              )}
            </Near>
          ))}
        </div>
      </div>
      {away && (
        <button type="button" className="newest" onClick={following.toEnd}>
          {streaming ? "Newest words" : "To the end"} <Icon name="down" />
        </button>
      )}
    </div>
  );
}

/** Builds what is in it when it comes near, and remembers how high it was when it leaves. */
const Near = memo(function Near({ first, children }: { first: boolean; children: ReactNode }) {
  const place = useRef<HTMLDivElement>(null);
  const [built, setBuilt] = useState(first);
  const [height, setHeight] = useState(160);
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (!entry) return;
        if (!entry.isIntersecting && entry.boundingClientRect.height > 0) setHeight(entry.boundingClientRect.height);
        setBuilt(entry.isIntersecting || place.current!.contains(document.activeElement) || selected(place.current!));
      },
      { root: place.current!.closest(".scroll"), rootMargin: "1500px 0px" },
    );
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);
  return (
    <div ref={place} className="near" style={built ? undefined : { height }}>
      {built && children}
    </div>
  );
});

/** What somebody has selected must not vanish under the selection. */
function selected(element: HTMLElement): boolean {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(element, true);
}
