// One turn of a conversation: a question, or an answer with its pipe, its gauge and what can be done with it.

import type { Chat, Message } from "@penstock/client";
import { useChatValue, useMessage } from "@penstock/react";
import { memo, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import { useExternal } from "./external.ts";
import { Icon } from "./icons.tsx";
import { shelf } from "./library.ts";
import { Markdown } from "./markdown.tsx";
import { asking, sends } from "./settings.ts";
import { ending, figures, sentence, standing, type Kind } from "./words.ts";

interface TurnProps {
  chat: Chat;
  id: string;
}

/** `alone`: no answer follows in what is shown. */
export const Turn = memo(function Turn({ chat, id, alone }: TurnProps & { alone: boolean }) {
  const role = useMessage(chat, id)?.role;
  if (role === undefined) return null;
  return role === "user" ? <Question chat={chat} id={id} alone={alone} /> : <Answer chat={chat} id={id} />;
});

/** Where one writes: there the keyboard goes when what it was on is gone. */
export const toPrompt = (): void => document.getElementById("prompt")?.focus({ preventScroll: true });

function Question({ chat, id, alone }: TurnProps & { alone: boolean }) {
  const message = useMessage(chat, id);
  const [editing, setEditing] = useState(false);
  if (!message) return null;
  const done = () => {
    setEditing(false);
    toPrompt();
  };
  const again = () => void chat.regenerate({ messageId: id, ...asking() });
  const send = (text: string) => {
    if (!text.trim()) return;
    done();
    if (text === message.text) again();
    else void chat.edit(id, text, asking());
  };
  return (
    <article className="turn person" aria-label="You" data-id={id}>
      <h2 className="who">you</h2>
      <div className="said">
        {editing ? <Edit text={message.text} onSend={send} onCancel={done} /> : <Said text={message.text} />}
        {!editing && (
          <div className="deeds">
            <Branches chat={chat} id={id} />
            <Deed icon="edit" name="Edit: asks again, in another branch" onClick={() => setEditing(true)} />
            <Copy text={message.text} />
          </div>
        )}
        {alone && !editing && (
          <div className="trouble" role="group" aria-label="What went wrong">
            <p>There is no answer.</p>
            <button type="button" onClick={again}>Ask again</button>
          </div>
        )}
      </div>
    </article>
  );
}

/** What is long is folded: what was pasted is rarely what one wants to read again. */
function Said({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  const long = text.length > 900 || text.split("\n", 13).length > 12;
  return (
    <>
      <p data-folded={(long && !open) || undefined}>{text}</p>
      {long && (
        <button type="button" className="fold" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Less" : "All of it"}
        </button>
      )}
    </>
  );
}

function Edit({ text, onSend, onCancel }: { text: string; onSend: (text: string) => void; onCancel: () => void }) {
  const [draft, setDraft] = useState(text);
  const place = useRef<HTMLFormElement>(null);
  useLayoutEffect(() => {
    void place.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <form
      className="edit"
      ref={place}
      onSubmit={(event) => {
        event.preventDefault();
        onSend(draft);
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          onCancel();
        } else if (sends(event)) {
          event.preventDefault();
          onSend(draft);
        }
      }}
    >
      <textarea
        aria-label="Your message, changed"
        value={draft}
        autoFocus
        onChange={(event) => setDraft(event.target.value)}
        onFocus={(event) => event.target.setSelectionRange(draft.length, draft.length)}
      />
      <div>
        <button type="submit" className="primary">Ask again</button>
        <button type="button" className="quiet" onClick={onCancel}>Cancel</button>
      </div>
    </form>
  );
}

/** Several answers to one question that were asked for together, side by side. */
export function Beside({ chat, ids }: { chat: Chat; ids: readonly string[] }) {
  const chosen = useChatValue(chat, ({ messages }) => messages.findLast(({ id }) => ids.includes(id))?.id);
  return (
    <div className="beside">
      {ids.map((id) => (
        <Answer key={id} chat={chat} id={id}>
          <button type="button" className="choose" aria-pressed={id === chosen} onClick={() => chat.branch(id)}>
            {id === chosen ? "✓ The conversation goes on here" : "Go on with this one"}
          </button>
          <StopOne chat={chat} id={id} />
        </Answer>
      ))}
    </div>
  );
}

/** While several answer, each can be stopped by itself. */
function StopOne({ chat, id }: TurnProps) {
  const streaming = useMessage(chat, id)?.state === "streaming";
  if (!streaming) return null;
  return <button type="button" className="choose" onClick={() => chat.stop(id)}>Stop this one</button>;
}

function Answer({ chat, id, children }: TurnProps & { children?: ReactNode }) {
  const message = useMessage(chat, id);
  if (!message) return null;
  const streaming = message.state === "streaming";
  return (
    <article className="turn model" aria-label={`Answer of ${message.model ?? "the model"}`} aria-busy={streaming} data-phase={message.phase} data-id={id}>
      <h2 className="who" title={message.model ?? undefined}>{message.model}</h2>
      <Flow chat={chat} message={message}>
        <Thoughts message={message} />
        {message.phase === "thinking" && !message.reasoning && <Dots />}
        {message.text && <Markdown text={message.text} whole={!streaming} />}
        <Calls message={message} />
        <Trouble chat={chat} message={message} />
        <Gauge chat={chat} message={message} />
        {children}
      </Flow>
    </article>
  );
}

function Flow({ chat, message, children }: { chat: Chat; message: Message; children: ReactNode }) {
  const live = useChatValue(chat, ({ connection }) => connection.state === "live" || connection.state === "idle");
  const state: Kind = message.state === "ended" ? ending(message).kind : live ? "live" : "wait";
  return (
    <div className="flow" data-state={state}>
      {children}
    </div>
  );
}

function Dots() {
  return (
    <p className="dots" aria-hidden="true">
      <i />
      <i />
      <i />
    </p>
  );
}

function Thoughts({ message }: { message: Message }) {
  if (!message.reasoning) return null;
  const now = message.phase === "thinking";
  return (
    <details className="thinking">
      <summary>{now ? <span>{lastWords(message.reasoning)}</span> : "What it thought"}</summary>
      <p>{message.reasoning}</p>
    </details>
  );
}

function lastWords(text: string): string {
  const end = text.trimEnd().slice(-90);
  return text.length > 90 ? `… ${end.slice(end.indexOf(" ") + 1)}` : end;
}

function Calls({ message }: { message: Message }) {
  return message.toolCalls.map((call, at) => (
    <div className="call" key={call.id || at}>
      <p>
        wants to call <code>{call.name}</code>
      </p>
      <pre tabIndex={0} aria-label={`Arguments for ${call.name}`}>{call.arguments}</pre>
    </div>
  ));
}

function Trouble({ chat, message }: { chat: Chat; message: Message }) {
  const { error, outcome, state } = message;
  if (state !== "ended" || (!error && outcome !== "interrupted")) return null;
  const begun = message.text || message.reasoning;
  const told = error && error.message.toLowerCase().replaceAll(" ", "_").includes(error.code);
  return (
    <div className="trouble" role="group" aria-label="What went wrong">
      <p>
        <b>{begun ? "It broke off here." : "There is no answer."}</b> {error && sentence(error.message)}
      </p>
      {error && !told && <code>{error.code}</code>}
      {error?.retryable !== false && (
        <button type="button" onClick={() => void chat.regenerate({ messageId: message.id, ...asking() })}>
          Ask again
        </button>
      )}
    </div>
  );
}

function Gauge({ chat, message }: { chat: Chat; message: Message }) {
  const { models } = useExternal(shelf);
  const price = models.find(({ id }) => id === message.model)?.price ?? null;
  const ended = message.state === "ended";
  const end = ended ? ending(message) : null;
  return (
    <footer className="gauge">
      {end ? <span className="state" data-kind={end.kind}>{end.words}</span> : <Now chat={chat} />}
      <span className="figures">
        {figures(message, price).map(([name, value]) => (
          <span key={name}>
            {name} <b>{value}</b>
          </span>
        ))}
      </span>
      {ended && (
        <span className="deeds">
          <Branches chat={chat} id={message.id} />
          {message.text && <Copy text={message.text} />}
          <Again chat={chat} message={message} />
        </span>
      )}
    </footer>
  );
}

function Now({ chat }: { chat: Chat }) {
  const words = useChatValue(chat, (snapshot) => {
    const now = standing(snapshot, Date.now());
    return now ? `${now.kind}|${now.words}` : "";
  });
  const [kind, ...said] = words.split("|");
  return <span className="state" data-kind={kind}>{said.join("|")}</span>;
}

function Again({ chat, message }: { chat: Chat; message: Message }) {
  const { models } = useExternal(shelf);
  const box = useRef<HTMLDetailsElement>(null);
  const again = (model?: string) => {
    box.current?.removeAttribute("open");
    toPrompt();
    void chat.regenerate({ messageId: message.id, ...asking(), ...(model !== undefined && { model }) });
  };
  if (models.length < 2) return <Deed icon="again" name="Answer again" onClick={() => again()} />;
  return (
    <details className="pop" ref={box}>
      <summary className="deed" aria-label="Answer again" title="Answer again">
        <Icon name="again" />
      </summary>
      <div>
        {models.map(({ id }) => (
          <button key={id} type="button" onClick={() => again(id)}>
            {id === message.model ? `Again with ${id}` : `With ${id}`}
          </button>
        ))}
      </div>
    </details>
  );
}

function Branches({ chat, id }: TurnProps) {
  const siblings = useChatValue(chat, (snapshot) => snapshot.siblings.get(id));
  if (!siblings || siblings.length < 2) return null;
  const at = siblings.indexOf(id);
  const step = (by: number) => {
    const other = siblings[at + by];
    if (!other) return;
    chat.branch(other);
    // The button is another one now; the keyboard stays on it, or on its neighbour at the end of the row.
    requestAnimationFrame(() => {
      const buttons = [...document.querySelectorAll<HTMLButtonElement>(`[data-id="${other}"] .branches button`)];
      const wanted = by < 0 ? buttons : buttons.reverse();
      wanted.find((button) => !button.disabled)?.focus();
    });
  };
  return (
    <span className="branches">
      <Deed icon="left" name="The branch before" onClick={() => step(-1)} off={at === 0} />
      <span aria-label={`Branch ${at + 1} of ${siblings.length}`}>
        {at + 1}/{siblings.length}
      </span>
      <Deed icon="right" name="The next branch" onClick={() => step(1)} off={at === siblings.length - 1} />
    </span>
  );
}

function Copy({ text }: { text: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return <Deed icon={done ? "check" : "copy"} name={done ? "Copied" : "Copy"} onClick={() => void copy()} />;
}

interface DeedProps {
  icon: Parameters<typeof Icon>[0]["name"];
  name: string;
  onClick: () => void;
  off?: boolean;
}

export function Deed({ icon, name, onClick, off = false }: DeedProps) {
  return (
    <button type="button" className="deed" aria-label={name} title={name} onClick={onClick} disabled={off}>
      <Icon name={icon} />
    </button>
  );
}
