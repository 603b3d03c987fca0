// All conversations, by when they were last spoken in.

import type { Conversation } from "@penstock/client";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { go } from "./address.ts";
import { api } from "./api.ts";
import { useExternal } from "./external.ts";
import { Icon, Wordmark } from "./icons.tsx";
import { more, remove, rename, search, shelf, tried } from "./library.ts";
import { Deed, toPrompt } from "./turn.tsx";
import { when } from "./words.ts";

interface SidebarProps {
  current: string | null;
  onChosen: () => void;
  onSettings: () => void;
}

export function Sidebar({ current, onChosen, onSettings }: SidebarProps) {
  const { conversations, search: sought, more: isMore, loaded, trouble } = useExternal(shelf);
  const open = (id: string | null) => {
    go(id);
    onChosen();
  };
  const list = useRef<HTMLDivElement>(null);
  const onFind = (event: KeyboardEvent<HTMLInputElement>) => {
    const first = list.current?.querySelector("a");
    if (event.key === "Escape") {
      event.stopPropagation(); // the answer that comes is not meant
      if (sought) search("");
      else toPrompt();
    } else if (event.key === "ArrowDown") first?.focus();
    else if (event.key === "Enter") first?.click();
    else return;
    event.preventDefault();
  };
  let heading = "";
  return (
    <nav className="sidebar" aria-label="Conversations">
      <div className="top">
        <a className="wordmark" href="/" aria-label="Penstock: a new conversation" onClick={(event) => {
          event.preventDefault();
          open(null);
        }}>
          <Wordmark />
        </a>
        <Deed icon="close" name="Close the list" onClick={onChosen} />
      </div>
      <button type="button" className="row new" onClick={() => open(null)}>
        <Icon name="new" /> New conversation
      </button>
      <label className="find">
        <Icon name="search" />
        <span className="unseen">Search conversations</span>
        <input id="search" type="search" placeholder="Search" value={sought} onChange={(event) => search(event.target.value)} onKeyDown={onFind} />
      </label>
      <div className="list" ref={list}>
        {loaded && conversations.length === 0 && trouble === null && (
          <p className="none">{sought ? "Nothing found." : "What you ask is kept here."}</p>
        )}
        {conversations.map((one) => {
          const group = when(one.updated);
          const first = group !== heading;
          heading = group;
          return (
            <div key={one.id}>
              {first && <h2>{group}</h2>}
              <Row conversation={one} current={one.id === current} onOpen={() => open(one.id)} onRemoved={() => location.pathname === `/c/${one.id}` && go(null, "replace")} />
            </div>
          );
        })}
        {isMore && <button type="button" className="row" onClick={() => void tried("Not read", more)}>Earlier ones</button>}
      </div>
      <button type="button" className="row" onClick={onSettings}>
        <Icon name="settings" /> Settings
      </button>
    </nav>
  );
}

interface RowProps {
  conversation: Conversation;
  current: boolean;
  onOpen: () => void;
  onRemoved: () => void;
}

function Row({ conversation: { id, title }, current, onOpen, onRemoved }: RowProps) {
  const [naming, setNaming] = useState(false);
  const [removing, setRemoving] = useState(false);
  const link = useRef<HTMLAnchorElement>(null);
  const back = useRef(false); // the keyboard was on what is gone now: it goes back to the row
  useEffect(() => {
    if (!naming && !removing && back.current) link.current?.focus();
    back.current = false;
  }, [naming, removing]);
  if (naming) {
    const done = (name: string) => {
      setNaming(false);
      if (name.trim() && name !== title) void tried("Not renamed", () => rename(id, name.trim()));
    };
    return (
      <input
        className="naming"
        aria-label="The conversation's name"
        defaultValue={title}
        maxLength={200}
        autoFocus
        onFocus={(event) => event.target.select()}
        onBlur={(event) => done(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" && event.key !== "Escape") return;
          event.stopPropagation();
          back.current = true;
          if (event.key === "Enter") done(event.currentTarget.value);
          else setNaming(false);
        }}
      />
    );
  }
  if (removing) {
    const keep = () => {
      back.current = true;
      setRemoving(false);
    };
    return (
      <div
        className="removing"
        role="group"
        aria-label={`Delete ${title}?`}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          keep();
        }}
      >
        <span title={title}>Delete “{title}”?</span>
        <button type="button" className="bad" autoFocus onClick={() => void tried("Not deleted", () => remove(id)).then((done) => done && onRemoved())}>Delete</button>
        <button type="button" onClick={keep}>Keep</button>
      </div>
    );
  }
  return (
    <div className="entry" data-current={current || undefined}>
      <a
        ref={link}
        href={`/c/${id}`}
        title={title}
        aria-current={current ? "page" : undefined}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          onOpen();
        }}
      >
        {title || "New conversation"}
      </a>
      <details className="pop" onBlur={(event) => !event.currentTarget.contains(event.relatedTarget) && event.currentTarget.removeAttribute("open")}>
        <summary className="deed" aria-label={`More about ${title}`}>
          <Icon name="more" />
        </summary>
        <div onClick={(event) => event.currentTarget.parentElement!.removeAttribute("open")}>
          <button type="button" onClick={() => setNaming(true)}>Rename</button>
          <button type="button" onClick={() => void tried("Not exported", () => api.save(id, "markdown"))}>Export as Markdown</button>
          <button type="button" onClick={() => void tried("Not exported", () => api.save(id, "json"))}>Export as JSON</button>
          <button type="button" className="bad" onClick={() => setRemoving(true)}>Delete</button>
        </div>
      </details>
    </div>
  );
}
