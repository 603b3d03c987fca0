// @vitest-environment jsdom

import type { Chat } from "@penstock/client";
import { act, cleanup, render } from "@testing-library/react";
import { StrictMode, useState, type ReactNode } from "react";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { world } from "../../client/tests/setup.ts";
import { settle } from "../../client/tests/time.ts";
import { useChatValue, useMessage, useStreamingChat, type Frames } from "../src/index.ts";

beforeAll(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
});
afterEach(cleanup);

/** Frames and timers that come when a test says so. */
class TestFrames implements Frames {
  frames = new Set<() => void>();
  timers = new Set<() => void>();
  frame = (call: () => void) => {
    this.frames.add(call);
    return () => void this.frames.delete(call);
  };
  after = (_milliseconds: number, call: () => void) => {
    this.timers.add(call);
    return () => void this.timers.delete(call);
  };
  pass(of = this.frames): void {
    for (const call of [...of]) {
      of.delete(call);
      call();
    }
  }
}

function shown({ strict = false } = {}) {
  const here = world();
  const chat = here.open();
  const frames = new TestFrames();
  const renders: string[] = [];
  function Row({ id }: { id: string }) {
    return <p>{useMessage(chat, id)?.text}</p>;
  }
  function Page() {
    const { status, messages } = useStreamingChat({ chat, frames });
    renders.push(messages.at(-1)?.text ?? "");
    return <div title={status}>{messages.map(({ id }) => <Row key={id} id={id} />)}</div>;
  }
  const page: ReactNode = strict ? <StrictMode><Page /></StrictMode> : <Page />;
  const view = render(page);
  const frame = () => act(() => frames.pass());
  return { ...here, chat, frames, renders, view, frame };
}

const ask = (chat: Chat) =>
  act(async () => {
    void chat.sendMessage({ text: "a" });
    await settle();
  });

describe("rendering", () => {
  test("happens once per frame, however many tokens come", async () => {
    const { chat, server, frames, renders, frame, view } = shown();
    await ask(chat);
    frame();
    renders.length = 0;
    for (let round = 0; round < 5; round++) {
      await act(async () => {
        for (let token = 0; token < 50; token++) {
          server.log.tokens("x");
          await settle();
        }
      });
      expect(renders).toHaveLength(round);
      expect(frames.frames.size).toBe(1);
      frame();
      expect(renders).toHaveLength(round + 1);
      expect(view.container.textContent).toBe("a" + "x".repeat(50 * (round + 1)));
    }
  });

  test("does not wait for a frame at the end, and nothing comes after it", async () => {
    const { chat, server, frames, view } = shown();
    await ask(chat);
    await act(async () => {
      server.log.tokens("all").done();
      await settle();
    });
    expect(view.container.textContent).toBe("aall");
    expect(view.container.firstElementChild?.getAttribute("title")).toBe("ready");
    expect(frames.frames.size + frames.timers.size).toBe(0);
  });

  test("happens by a timer where there are no frames", async () => {
    const { chat, server, frames, view } = shown();
    await ask(chat);
    await act(async () => {
      server.log.tokens("background");
      await settle();
    });
    expect(view.container.textContent).toBe("");
    act(() => frames.pass(frames.timers));
    expect(view.container.textContent).toBe("abackground");
    expect(frames.frames.size).toBe(0);
  });

  test("of messages is only of those that changed", async () => {
    const { chat, server, frames } = shown();
    await ask(chat);
    act(() => frames.pass());
    const [, answer] = chat.getSnapshot().messages;
    // A component that shows one message, beside a page that shows none of them.
    const rows: string[] = [];
    function Row({ id }: { id: string }) {
      rows.push(`${id}: ${useMessage(chat, id)?.text}`);
      return null;
    }
    const [first] = chat.getSnapshot().messages;
    render(<><Row id={first!.id} /><Row id={answer!.id} /></>);
    rows.length = 0;
    await act(async () => {
      server.log.tokens("x");
      await settle();
    });
    act(() => frames.pass());
    expect(rows).toEqual([`${answer!.id}: x`]);
  });

  test("of a value is only when it is another one", async () => {
    const { chat, server, frames } = shown();
    const statuses: string[] = [];
    function Status() {
      statuses.push(useChatValue(chat, ({ status }) => status));
      return null;
    }
    render(<Status />);
    await ask(chat);
    for (let token = 0; token < 5; token++) {
      await act(async () => {
        server.log.tokens("x");
        await settle();
      });
      act(() => frames.pass());
    }
    expect(statuses).toEqual(["ready", "streaming"]);
  });
});

test("what was not rendered was not seen: Stop does not keep it", async () => {
  const { chat, server, frames, view } = shown();
  await ask(chat);
  await act(async () => {
    server.log.tokens("seen");
    await settle();
  });
  act(() => frames.pass());
  await act(async () => {
    server.log.tokens(" unseen");
    await settle();
    chat.stop();
    await settle();
  });
  expect(view.container.textContent).toBe("aseen");
  expect(server.cancels).toEqual([{ stream: server.log.stream, seen: 2 }]);
});

test("a rendering between two frames, for another reason, shows no more than the last frame", async () => {
  const { server, open } = world();
  const chat = open();
  const frames = new TestFrames();
  let renders = 0;
  let renderAgain = (_: number): void => {};
  function Page() {
    const { messages } = useStreamingChat({ chat, frames });
    [, renderAgain] = useState(0);
    renders += 1;
    return <p>{messages.map(({ text }) => text).join("|")}</p>;
  }
  const view = render(<Page />);
  await ask(chat);
  act(() => frames.pass());
  await act(async () => {
    server.log.tokens("later");
    await settle();
  });
  renders = 0;
  act(() => renderAgain(1));
  expect(renders).toBe(1);
  expect(view.container.textContent).toBe("a|");
  act(() => frames.pass());
  expect(view.container.textContent).toBe("a|later");
});

describe("unmounting", () => {
  test("leaves the answer to go on, and coming back follows it again", async () => {
    const { chat, server, view, clock } = shown();
    await ask(chat);
    view.unmount();
    await act(settle);
    expect(server.log.readers.size).toBe(0);
    expect(server.cancels).toEqual([]);
    expect(clock.pending).toBe(0);
    server.log.tokens("meanwhile").done();
    function Page() {
      const { messages } = useStreamingChat({ chat });
      return <p>{messages.at(-1)?.text}</p>;
    }
    const again = render(<Page />);
    await act(settle);
    expect(again.container.textContent).toBe("meanwhile");
    expect(server.posts).toBe(1);
  });

  test("of one of two views detaches nothing", async () => {
    const { chat, server, view } = shown();
    function Page() {
      useStreamingChat({ chat });
      return null;
    }
    render(<Page />);
    await ask(chat);
    view.unmount();
    await act(settle);
    expect(server.log.readers.size).toBe(1);
  });

  test("StrictMode mounts twice, and asks, follows and resumes once", async () => {
    const { chat, server, frames, view } = shown({ strict: true });
    await ask(chat);
    await act(async () => {
      server.log.tokens("one");
      await settle();
    });
    act(() => frames.pass());
    expect(view.container.textContent).toBe("aone");
    expect(server.posts).toBe(1);
    expect(server.log.readers.size).toBe(1);
  });
});

describe("resume", () => {
  test.each([true, false])("%s: a reload shows what the server keeps, in StrictMode, or does not", async (resume) => {
    const here = world();
    const before = here.open();
    void before.sendMessage({ text: "a" });
    await settle();
    here.server.log.tokens("one ");
    await settle();
    before.detach();
    function Page() {
      const { messages, status } = useStreamingChat({ options: here.options(), resume });
      return <p title={status}>{messages.map(({ text }) => text).join("|")}</p>;
    }
    const view = render(<StrictMode><Page /></StrictMode>);
    await act(async () => {
      await settle();
      here.server.log.tokens("two").done();
      await settle();
    });
    expect(view.container.textContent).toBe(resume ? "a|one two" : "");
    expect(here.server.posts).toBe(1);
    view.unmount();
    await act(settle);
  });
});
