// The store of one chat: its messages, the answers that are being followed, and what is waiting to be sent.

import { Answer } from "./answer.ts";
import { browser, type Surroundings } from "./browser.ts";
import { systemClock, type Clock } from "./clock.ts";
import { ChatError } from "./errors.ts";
import { Follower, type Change } from "./follow.ts";
import { newId } from "./ids.ts";
import { messageOf, userMessage, type Message, type StoredConversation, type StoredMessage } from "./messages.ts";
import type { AskOptions, ChatOptions, Listener } from "./options.ts";
import { Outbox, Waiting } from "./outbox.ts";
import { shared, worst, type Queued, type Snapshot, type Status } from "./snapshot.ts";
import { Stops } from "./stops.ts";
import { Thread } from "./thread.ts";
import type { Question, Transport } from "./transport.ts";

/** Make the store of one chat. Nothing is sent before something is asked, or `resume` is called. */
export function createChat(options: ChatOptions): Chat {
  return new Chat(options);
}

/** See `createChat`. All methods may be taken off it and called alone. */
export class Chat {
  readonly id: string;

  #o: ChatOptions;
  #transport: Transport;
  #clock: Clock;
  #surroundings: Surroundings;
  #newId: () => string;
  #outbox: Outbox;
  #stops: Stops;
  #mine = new Set<string>(); // answers that were asked for here
  #thread = new Thread();
  #followers = new Map<string, Follower>();
  #listeners = new Set<Listener>();
  #leaf: string | null = null;
  #ask: AskOptions = {};
  #queued: readonly Queued[];
  #waiting: Waiting;
  #error: ChatError | null = null;
  #unread: ChatError | null = null; // why the conversation could not be read last time
  #finished = new WeakSet<Answer>();
  #comparing: string[] = [];
  #choosing = 0;
  #loading: AbortController | null = null;
  #stale = false;
  #unloaded = false;
  #missing = false;
  #snapshot: Snapshot | null = null;
  #before: Snapshot | null = null;
  #tickOff: (() => void) | null = null;
  #unlisten: (() => void) | null = null;

  constructor(options: ChatOptions) {
    this.#o = options;
    this.#newId = options.newId ?? newId;
    this.id = options.id ?? this.#newId();
    this.#transport = options.transport;
    this.#clock = options.clock ?? systemClock;
    this.#surroundings = options.surroundings ?? browser();
    this.#outbox = new Outbox(this.id, options.storage ?? null);
    this.#stops = new Stops(this.id, options.storage ?? null, this.#transport, this.#clock);
    this.#waiting = new Waiting(this.id, options.session ?? null);
    this.#queued = this.#waiting.list();
    for (const { question, created, stopped } of this.#outbox.list()) {
      this.#place(question, created);
      // The server is told first, and then keeps the question, with an answer that never began.
      if (stopped) this.#stops.add({ answer: question.answer, stream: null, seen: 0 });
    }
  }

  // -- looking -------------------------------------------------------------------------------------------------------

  /** Be told of changes: `progress` may wait for the next frame, the others should be seen at once. */
  subscribe = (listener: Listener): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** What is to be shown now. Made when it is asked for, at most once per change; what it holds counts as seen. */
  getSnapshot = (): Snapshot => {
    this.#snapshot ??= this.#before = this.#take();
    return this.#snapshot;
  };

  // -- asking --------------------------------------------------------------------------------------------------------

  /**
   * Say something, below what is shown. Resolves with the answer when it has ended, or was left. While an answer is
   * still coming the text is queued, and this resolves with null.
   */
  sendMessage = async (message: AskOptions & { text: string }): Promise<Message | null> => {
    const { text, ...ask } = message;
    if (this.#isBusy()) {
      this.queue(text, ask);
      return null;
    }
    return this.#send(text, ask);
  };

  /** Answer again, beside the answer there is. An answer that was never accepted is sent again instead. */
  regenerate = async (options: AskOptions & { messageId?: string } = {}): Promise<Message | null> => {
    const { messageId, ...ask } = options;
    const target = this.#thread.get(messageId ?? this.#leaf);
    if (target === undefined) return null;
    const follower = this.#followers.get(target.id);
    if (follower?.unsent && target.outcome !== "cancelled" && (ask.model ?? target.model) === target.model) {
      this.#leaf = target.id;
      return this.#reopen(follower);
    }
    if (follower?.unsent) this.#outbox.remove(target.id); // the question goes with the new answer
    const user = target instanceof Answer || target.role === "assistant" ? this.#thread.get(target.parent) : target;
    if (user === undefined || user instanceof Answer) return null;
    return this.#answer(user, { ...(target.model === null ? {} : { model: target.model }), ...ask });
  };

  /** Say it differently: a branch beside the message. */
  edit = async (messageId: string, text: string, ask: AskOptions = {}): Promise<Message | null> => {
    const old = this.#thread.get(messageId);
    if (old === undefined || old instanceof Answer || old.role !== "user") return null;
    return this.#answer(this.#say(old.parent, text), ask);
  };

  /**
   * Ask several models the same at once. The first one's answer is shown; the others are its siblings. Their ids say that
   * they belong together, everywhere and for good: they are the same up to `-1`, `-2`, …. While an answer is still coming
   * this is queued, and resolves with nulls.
   */
  compare = async (text: string, models: readonly string[], ask: AskOptions = {}): Promise<(Message | null)[]> => {
    if (this.#isBusy()) {
      this.queue(text, ask, models);
      return models.map(() => null);
    }
    return this.#sendTo(models, text, ask);
  };

  #send(text: string, ask: AskOptions, id = this.#newId()): Promise<Message | null> {
    const user = this.#say(this.#below(), text, id);
    return this.#answer(user, ask, `${id}-a`);
  }

  #sendTo(models: readonly string[], text: string, ask: AskOptions, together = this.#newId()): Promise<(Message | null)[]> {
    const user = this.#say(this.#below(), text, together);
    const answers = models.map((model, at) => ({ model, id: `${together}-${at + 1}` }));
    this.#comparing = answers.map(({ id }) => id);
    const ends = answers.map(({ model, id }) => this.#answer(user, { ...ask, model }, id));
    this.#leaf = answers[0]?.id ?? user.id;
    this.#change("state");
    return Promise.all(ends);
  }

  /** Stop what is coming, or one answer of it, here and at the server, at what was shown. */
  stop = (messageId?: string): void => {
    // Of those that are coming now: with the end of one, the next of what is queued may begin.
    for (const [id, follower] of [...this.#followers]) if (messageId === undefined || id === messageId) follower.stop();
  };

  /** Send this when the answer that is coming has ended, of itself or by `stop`. Returns its id. */
  queue = (text: string, ask: AskOptions = {}, models: readonly string[] = []): string => {
    const id = this.#newId();
    this.#setQueued([...this.#queued, { id, text, ask, models }]);
    this.#sendQueued();
    return id;
  };

  editQueued = (id: string, text: string): void => {
    this.#setQueued(this.#queued.map((queued) => (queued.id === id ? { ...queued, text } : queued)));
  };

  removeQueued = (id: string): void => {
    this.#setQueued(this.#queued.filter((queued) => queued.id !== id));
  };

  // -- branches and states -------------------------------------------------------------------------------------------

  /** Show the branch that goes through this message. */
  branch = (messageId: string): void => {
    if (!this.#thread.has(messageId)) return;
    this.#leaf = this.#thread.leafBelow(messageId);
    this.#comparing = [];
    this.#choose(this.#leaf);
    this.#change("state");
  };

  /** Put these in the place of all messages. Nothing is followed any more; see `resume`. */
  setMessages = (messages: readonly Message[]): void => {
    for (const follower of this.#followers.values()) void follower.detach();
    this.#followers.clear();
    this.#thread = new Thread();
    for (const message of messages) {
      this.#thread.put(message.state === "streaming" ? this.#answerOf(message) : message);
    }
    this.#leaf = messages.at(-1)?.id ?? null;
    this.#change("state");
  };

  /** Take over what the server keeps. Answers that are followed stay as they are; those still being made are followed. */
  load = (kept: StoredConversation): void => {
    for (const stored of kept.messages) {
      this.#adopt(stored);
      this.#thread.withdraw(stored.id, false);
    }
    const { leaf } = kept.conversation;
    const busy = this.#choosing > 0 || this.#comparing.length > 0 || this.#unfinished().length > 0;
    // An answer that was refused is not kept, and shown here all the same, below what is.
    const own = leaf !== null && !kept.messages.some(({ id }) => id === this.#leaf) && this.#thread.path(this.#leaf).some(({ id }) => id === leaf);
    // What was said here stays in sight when somebody else goes on in another branch; what goes on from it is followed.
    const aside = this.#leaf !== null && this.#mine.has(this.#leaf) && !this.#thread.path(leaf).some(({ id }) => id === this.#leaf);
    if (this.#leaf === null || !(busy || own || aside)) this.#leaf = leaf !== null && this.#thread.has(leaf) ? leaf : this.#leaf;
    this.#leaf ??= kept.messages.at(-1)?.id ?? null;
    this.reattach();
    this.#change("state");
  };

  /** Follow again whatever has not ended, and send what was never sent. Asks the server for nothing else. */
  reattach = (): void => {
    for (const answer of this.#thread.answers()) {
      const follower = this.#follower(answer);
      if (!answer.ended) void this.#run(follower);
      else if (isOpen(follower)) void this.#reopen(follower);
    }
  };

  /** After a reload: the conversation from the server, if it keeps one, and then as `reattach`. */
  resume = async (): Promise<void> => {
    if (this.#loading) {
      this.#stale = true; // what is being read may be from before whatever was the reason to ask
      return;
    }
    this.#stale = false;
    const loading = (this.#loading = new AbortController());
    if (this.#stops.left) await this.#stops.resume(); // or what was stopped would be seen to go on
    if (loading.signal.aborted) return;
    this.reattach();
    if (!this.#transport.load) {
      this.#loading = null;
      return this.#sendQueued();
    }
    const ended = this.#thread.answers().filter((answer) => answer.ended && answer.stream !== null);
    try {
      const kept = await this.#transport.load(loading.signal);
      if (loading.signal.aborted) return; // left meanwhile
      this.#unloaded = false;
      if (this.#unread !== null && this.#error === this.#unread) this.clearError(); // it can be read now
      this.#unread = null;
      this.#missing = kept === null;
      const ids = new Set(kept?.messages.map(({ id }) => id));
      for (const { id } of ended) this.#thread.withdraw(id, !ids.has(id));
      if (kept) this.load(kept);
      else this.#change("state");
      this.#sendQueued();
    } catch (error) {
      if (loading.signal.aborted) return;
      const unreachable = { code: "unreachable", message: "The server could not be reached.", retryable: true };
      this.#unloaded = true; // tried again when the network is back
      this.#listen();
      this.#unread = error instanceof ChatError ? error : new ChatError(unreachable);
      this.#fail(this.#unread);
    } finally {
      if (this.#loading === loading) this.#loading = null;
    }
    if (this.#stale) await this.resume();
  };

  /** The same as `resume`, by the name that the AI SDK has for it. */
  resumeStream = (): Promise<void> => this.resume();

  /** Leave all answers to themselves. They go on; `reattach` follows them again. */
  detach = (): void => {
    for (const follower of this.#followers.values()) void follower.detach();
    this.#loading?.abort();
    this.#loading = null;
    this.#unloaded = false;
    this.#settle();
    this.#change("state");
  };

  clearError = (): void => {
    if (this.#error === null) return;
    this.#error = null;
    this.#change("state");
  };

  // -- inside: messages ----------------------------------------------------------------------------------------------

  #say(parent: string | null, text: string, id = this.#newId()): Message {
    const user = userMessage(id, parent, text, this.#clock.now() / 1000);
    this.#thread.put(user);
    return user;
  }

  /** What the next message follows. */
  #below(): string | null {
    return this.#transport.load ? this.#thread.keptFrom(this.#leaf) : this.#leaf;
  }

  #adopt(stored: StoredMessage): void {
    const known = this.#thread.get(stored.id);
    if (stored.role === "user") {
      this.#thread.store(stored.id);
      if (known === undefined) this.#thread.put(messageOf(stored));
    } else if (stored.state === "streaming") {
      if (known === undefined) this.#thread.put(this.#answerOf(messageOf(stored), stored.position));
      // While it is being asked for, its own response tells its stream: what is heard of here may be refused yet.
      else if (known instanceof Answer && !this.#followers.get(known.id)?.unsent) known.stream ??= stored.stream;
    } else if (known === undefined) {
      this.#thread.put(messageOf(stored));
    } else if (!this.#isActive(stored.id) && !alike(messageOf(stored), known)) {
      this.#followers.delete(stored.id);
      this.#thread.put(messageOf(stored));
    }
  }

  /** An answer that is being made elsewhere: its log is read after the position, or all of it. */
  #answerOf(message: Message, position: string | null = null): Answer {
    const answer = new Answer(message, message.created * 1000);
    answer.adopt(
      { ...message, position, state: "streaming", tool_calls: [...message.toolCalls], timing: null },
      this.#clock.now(),
    );
    return answer;
  }

  // -- inside: answers -----------------------------------------------------------------------------------------------

  async #answer(user: Message, ask: AskOptions, id = this.#newId()): Promise<Message | null> {
    this.#ask = { ...this.#ask, ...ask };
    const question = this.#question(user, id);
    const created = this.#clock.now() / 1000;
    this.#outbox.put({ question, created });
    this.#missing = false;
    const follower = this.#place(question, created);
    this.#error = null;
    this.#change("state");
    return this.#run(follower);
  }

  #question(user: Message, answer: string): Question {
    const { model = this.#o.model ?? this.#thread.modelNear(user.id) ?? "", system, temperature, maxTokens } = this.#ask;
    const history = this.#thread.path(user.id);
    const asked = this.#thread.isAsked(user.id);
    return {
      answer,
      model,
      parent: asked ? user.id : user.parent,
      message: asked ? null : { id: user.id, text: user.text },
      history: history.filter(({ text }) => text).map(({ role, text }) => ({ role, content: text })),
      ...(system === undefined ? {} : { system }),
      ...(temperature === undefined ? {} : { temperature }),
      ...(maxTokens === undefined ? {} : { maxTokens }),
    };
  }

  /** Put a question and its answer, of which nothing is there yet, where they belong, and show them. */
  #place(question: Question, created: number): Follower {
    const { message, parent, model } = question;
    if (message && !this.#thread.has(message.id)) this.#thread.put(userMessage(message.id, parent, message.text, created));
    const known = { id: question.answer, parent: message?.id ?? parent, model, created };
    const answer = new Answer(known, this.#clock.now());
    this.#mine.add(answer.id);
    this.#thread.put(answer);
    this.#leaf = answer.id;
    return this.#follower(answer, question);
  }

  #follower(answer: Answer, question: Question | null = null): Follower {
    const known = this.#followers.get(answer.id);
    if (known) return known;
    const follower: Follower = new Follower(answer, question, {
      transport: this.#transport,
      clock: this.#clock,
      random: this.#o.random ?? Math.random,
      isOnline: () => this.#surroundings.isOnline(),
      idleTimeoutMs: this.#o.idleTimeoutMs ?? 30_000,
      max: this.#o.retry?.max ?? 3,
      onChange: (change) => this.#followed(follower, change),
      cancel: (stop) => this.#stops.send(stop).finally(() => this.#settle()),
      onSettled: () => this.#outbox.remove(answer.id),
      onStopped: () => this.#outbox.stop(answer.id),
    });
    this.#followers.set(answer.id, follower);
    return follower;
  }

  async #run(follower: Follower): Promise<Message | null> {
    const run = follower.run();
    this.#listen();
    this.#tick();
    await run;
    return follower.answer.message();
  }

  #reopen(follower: Follower): Promise<Message | null> {
    follower.failure = null;
    this.#finished.delete(follower.answer);
    follower.answer.reopen();
    this.#error = null;
    this.#change("state");
    return this.#run(follower);
  }

  #listen(): void {
    this.#unlisten ??= this.#surroundings.listen((occasion) => {
      if (occasion === "back") this.#lookAgain();
      this.#change("state");
    });
  }

  #lookAgain(): void {
    this.#stops.check();
    if (this.#unloaded && !this.#loading) {
      this.#error = null;
      void this.resume();
    }
    for (const follower of this.#followers.values()) {
      follower.check();
      if (follower.answer.ended && isOpen(follower)) void this.#reopen(follower);
    }
  }

  #followed(follower: Follower, change: Change): void {
    const { answer } = follower;
    if (answer.ended && !this.#finished.has(answer)) {
      this.#finished.add(answer);
      change = "end";
      const { error } = answer;
      if (error) this.#error = follower.failure ?? new ChatError(error);
      if (this.#comparing.includes(answer.id)) {
        this.#comparing = this.#comparing.filter((id) => id !== answer.id);
        // The server shows the answer that began last; here it is the first of those that were compared.
        if (this.#comparing.length === 0 && this.#leaf !== null) this.#choose(this.#leaf);
      }
      this.#settle();
      this.#change("end");
      this.#o.onFinish?.(answer.message());
      if (error) this.#o.onError?.(this.#error!);
      else this.#sendQueued();
      return;
    }
    this.#change(change);
    if (change === "end" && answer.ended) this.#sendQueued(); // nothing of it is on its way any more
  }

  /** The next of what is queued, once nothing is coming any more. After an error the person decides first. */
  #sendQueued(): void {
    const [next, ...rest] = this.#queued;
    if (next === undefined || this.#isMissing() || this.#isBusy() || this.#unfinished().length > 0 || this.#error !== null) return;
    this.#setQueued(rest);
    // By ids of its own: a page that is restored with the same queue asks the same, and is answered once.
    if (next.models.length > 0) void this.#sendTo(next.models, next.text, next.ask, next.id);
    else void this.#send(next.text, next.ask, next.id);
  }

  #setQueued(queued: readonly Queued[]): void {
    this.#queued = queued;
    this.#waiting.keep(queued);
    this.#change("state");
  }

  #choose(leaf: string): void {
    if (!this.#transport.choose) return;
    this.#choosing += 1;
    this.#transport
      .choose(leaf)
      .catch(() => {}) // it is how this page looks; the server's opinion of it is not worth an error
      .finally(() => (this.#choosing -= 1));
  }

  #fail(error: ChatError): void {
    this.#error = error;
    this.#change("state");
    this.#o.onError?.(error);
  }

  // -- inside: time --------------------------------------------------------------------------------------------------

  #unfinished(): Follower[] {
    return [...this.#followers.values()].filter((follower) => follower.active);
  }

  /** The server has it no more, or never had: not just not yet. */
  #isMissing(): boolean {
    const here = this.#thread.all().length > 0;
    return this.#missing && this.#unfinished().length === 0 && (!here || this.#thread.isAnyKept());
  }

  /** Is what is shown still coming, or a question on its way, which the next message is to follow? */
  #isBusy(): boolean {
    return this.#isActive(this.#leaf) || [...this.#followers.values()].some((follower) => follower.asking);
  }

  #isActive(id: string | null): boolean {
    return id !== null && this.#followers.get(id)?.active === true;
  }

  /** Seconds are counted while something is coming. */
  #tick(): void {
    this.#tickOff ??= this.#clock.after(1000, () => {
      this.#tickOff = null;
      if (this.#unfinished().length === 0) return;
      this.#tick();
      this.#change("progress");
    });
  }

  /** Stop counting and listening, if nothing needs it any more. */
  #settle(): void {
    if (this.#unfinished().length > 0) return;
    this.#tickOff?.();
    this.#tickOff = null;
    const waiting = [...this.#followers.values()].some((follower) => follower.answer.outcome === "unsent");
    if (waiting || this.#unloaded || this.#stops.left) return;
    this.#unlisten?.();
    this.#unlisten = null;
  }

  #change(change: Change): void {
    this.#snapshot = null;
    for (const listener of [...this.#listeners]) listener(change);
  }

  #take(): Snapshot {
    const before = this.#before ?? undefined;
    const active = this.#unfinished();
    const now = this.#clock.now();
    const messages = this.#thread.path(this.#leaf);
    const shown = messages.findLast((message) => message.role === "assistant");
    const shownNow = active.find(({ answer }) => answer.id === shown?.id) ?? active[0];
    const seconds = (milliseconds: number) => Math.max(0, Math.floor(milliseconds / 1000));
    return {
      id: this.id,
      messages: shared(messages, before?.messages),
      leaf: this.#leaf,
      all: shared(this.#thread.all(), before?.all),
      siblings: this.#thread.siblings(),
      status: this.#status(active),
      phase: shown?.phase ?? "formatted",
      connection: worst(active.map((follower) => follower.connection)),
      silentFor: shownNow ? seconds(shownNow.silentMs) : 0,
      thinkingFor: shownNow ? seconds(now - shownNow.answer.progressAt) : 0,
      buffering: active.some((follower) => follower.bursts.buffering),
      timing: shown?.timing ?? null,
      error: this.#error,
      missing: this.#isMissing(),
      queued: this.#queued,
    };
  }

  #status(active: readonly Follower[]): Status {
    if (active.some(({ answer }) => answer.begun)) return "streaming";
    if (active.length > 0) return "submitted";
    return this.#error ? "error" : "ready";
  }
}

/** It ended only here, for a reason that may pass: its log, or an answer to its question, may still be had. */
function isOpen(follower: Follower): boolean {
  const { answer } = follower;
  if (answer.final || answer.outcome === "cancelled" || answer.outcome === "interrupted") return false;
  return answer.outcome === "unsent" || answer.stream !== null;
}

/** Would taking over what is stored change anything that is seen? */
function alike(stored: Message, known: Message | Answer): boolean {
  const shown = known instanceof Answer ? known.message() : known;
  return (
    stored.text === shown.text && stored.reasoning === shown.reasoning && stored.outcome === shown.outcome &&
    stored.state === shown.state && (stored.usage === null) === (shown.usage === null) &&
    (stored.timing === null || shown.timing !== null)
  );
}
