// The application: the list, the conversation, the composer, and the keys for all of them.

import type { Chat } from "@penstock/client";
import { useChatValue } from "@penstock/react";
import { useEffect, useLayoutEffect, useMemo, useState } from "react";
import { go, useAddress } from "./address.ts";
import { Announcer } from "./announce.tsx";
import { Composer } from "./composer.tsx";
import { KeyDialog, KeysDialog, SettingsDialog } from "./dialogs.tsx";
import { useExternal } from "./external.ts";
import { chatOf, newId, refresh, shelf } from "./library.ts";
import { settings } from "./settings.ts";
import { Sidebar } from "./sidebar.tsx";
import { Thread } from "./thread.tsx";
import { Deed } from "./turn.tsx";
import { Welcome } from "./welcome.tsx";
import { sentence } from "./words.ts";

export function Studio() {
  const address = useAddress();
  const [fresh, setFresh] = useState(newId);
  const [dialog, setDialog] = useState<"settings" | "keys" | null>(null);
  const [drawer, setDrawer] = useState(false);
  const { sidebar } = useExternal(settings);
  const { conversations, trouble } = useExternal(shelf);
  const id = address ?? fresh;
  const chat = useMemo(() => chatOf(id, id === fresh), [id]); // of one id the chat is made once: whether it is fresh matters only then
  const title = conversations.find((one) => one.id === id)?.title;

  useEffect(() => {
    if (address === fresh) setFresh(newId()); // the next new conversation is another one
  }, [address, fresh]);
  useEffect(() => {
    document.title = title ? `${title} · Penstock` : "Penstock";
  }, [title]);
  const narrow = () => matchMedia("(max-width: 52rem)").matches;
  const list = (open?: boolean) => {
    if (narrow()) setDrawer(open ?? !drawer);
    else settings.change({ sidebar: open ?? !sidebar });
  };
  const leave = () => setDrawer(false);
  useLayoutEffect(() => {
    if (drawer) document.querySelector<HTMLElement>(".sidebar .row.new")?.focus();
  }, [drawer]);
  useKeys(chat, { list, leave: drawer ? leave : null, keys: () => setDialog("keys") });

  return (
    <div className="studio" data-sidebar={sidebar || undefined} data-drawer={drawer || undefined}>
      <a className="skip" href="#prompt">To the message</a>
      <Sidebar
        current={address}
        onChosen={leave}
        onSettings={() => {
          leave();
          setDialog("settings");
        }}
      />
      <div className="shade" onClick={leave} />
      <main>
        <header className="head">
          <Deed
            icon="menu"
            name="The list of conversations"
            onClick={() => list()}
          />
          <h1>{title ?? (address ? "" : "New conversation")}</h1>
          <Deed icon="new" name="New conversation" onClick={() => go(null)} />
        </header>
        {trouble === "unreachable" && <p className="banner" role="alert">The server can't be reached. What is here stays; it is tried again.</p>}
        <Failure chat={chat} />
        <Missing chat={chat} />
        <NotDone />
        <Thread key={id} chat={chat} empty={address === null && <Welcome />} />
        <Composer
          key={`composer-${id}`}
          chat={chat}
          onKeys={() => setDialog("keys")}
          onFirst={() => {
            if (address === null) {
              go(id, "replace");
              setTimeout(() => void refresh(), 300);
            }
          }}
        />
        <Announcer key={`announcer-${id}`} chat={chat} />
      </main>
      {dialog === "settings" && <SettingsDialog onClose={() => setDialog(null)} />}
      {dialog === "keys" && <KeysDialog onClose={() => setDialog(null)} />}
      {trouble === "key" && dialog === null && <KeyDialog onClose={() => setDialog(null)} />}
    </div>
  );
}

/** What went wrong and belongs to no answer. */
function Failure({ chat }: { chat: Chat }) {
  const error = useChatValue(chat, (snapshot) => (snapshot.messages.at(-1)?.error ? null : snapshot.error));
  const { trouble } = useExternal(shelf);
  if (!error || (trouble === "unreachable" && error.code === "unreachable")) return null; // said once already
  return (
    <p className="banner" role="alert">
      {sentence(error.message)}
      <Deed icon="close" name="Dismiss" onClick={chat.clearError} />
    </p>
  );
}

/** It was deleted, here or elsewhere, or the address is wrong. */
function Missing({ chat }: { chat: Chat }) {
  const missing = useChatValue(chat, (snapshot) => snapshot.missing);
  const empty = useChatValue(chat, ({ messages }) => messages.length === 0);
  if (!missing) return null;
  return (
    <p className="banner" role="alert">
      {empty ? "There is no such conversation: it was deleted, or never was." : "This conversation was deleted. What is shown is only in this tab."}
      <button type="button" className="quiet" onClick={() => go(null)}>New conversation</button>
    </p>
  );
}

/** What could not be done with the list. */
function NotDone() {
  const { failed } = useExternal(shelf);
  if (failed === null) return null;
  return (
    <p className="banner" role="alert">
      {sentence(failed)}
      <Deed icon="close" name="Dismiss" onClick={() => shelf.change({ failed: null })} />
    </p>
  );
}

interface Actions {
  /** Show the list, hide it, or the other of the two. */
  list: (open?: boolean) => void;
  /** Close the list, where it lies over the conversation. */
  leave: (() => void) | null;
  keys: () => void;
}

function useKeys(chat: Chat, actions: Actions): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
      const target = event.target as HTMLElement;
      const writing = target.matches("input, textarea, select, [contenteditable]");
      const command = event.ctrlKey || event.metaKey;
      const key = event.key.toLowerCase();
      if (event.key === "Escape") {
        const pop = document.querySelector("details.pop[open]");
        if (pop) pop.removeAttribute("open");
        else if (actions.leave) actions.leave();
        else if (target.matches("select")) return; // closes its list
        else chat.stop();
      } else if (command && key === "k") {
        actions.list(true);
        requestAnimationFrame(() => document.getElementById("search")?.focus());
      } else if (command && event.shiftKey && key === "o") go(null);
      else if (command && key === "b") actions.list();
      else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) neighbour(event.key === "ArrowUp" ? -1 : 1);
      else if (!writing && !command && key === "/") document.getElementById("prompt")?.focus();
      else if ((command && key === "/") || (!writing && event.key === "?")) actions.keys();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}

function neighbour(by: number): void {
  const { conversations } = shelf.get();
  const at = conversations.findIndex(({ id }) => location.pathname === `/c/${id}`);
  const next = conversations[at < 0 ? 0 : at + by];
  if (next) go(next.id);
}
