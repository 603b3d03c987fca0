// @vitest-environment jsdom
import { StrictMode } from "react"
import { useChat } from "@ai-sdk/react"
import { act, renderHook } from "@testing-library/react"
import type { UIMessage } from "ai"
import { describe, expect, test } from "vitest"
import { active, asked, here, page, patiently, reasoningOf, stop, textOf, transport, truth } from "./place.ts"

const SLOW = { reasoning: "hm", tokens: 80, unicode: true, pace: 0.02 }

describe.runIf(here)("a page that was reloaded", () => {
  test("goes on with the whole answer, once, in the same message", async () => {
    const before = page("resume-whole")
    await before.ask("reloaded", SLOW)
    await before.grown(20)
    const kept = before.chat().messages
    before.leave()
    const after = page("resume-whole", { messages: kept.slice(0, 1), resume: true })
    await after.grown(20)
    expect(after.statuses).toContain("streaming")
    await after.settled("ready")
    expect(after.chat().messages.map(message => message.id)).toEqual(kept.map(message => message.id))
    const said = await truth("reloaded")
    expect(said.ended).toBe("done")
    expect(textOf(after.last())).toBe(said.text[0])
    expect(reasoningOf(after.last())).toBe(said.reasoning[0])
  })

  test("puts the whole in the place of the part that it had kept", async () => {
    const before = page("resume-part")
    await before.ask("part kept", SLOW)
    await before.grown(20)
    const kept = structuredClone(before.chat().messages)
    before.leave()
    const after = page("resume-part", { messages: kept, resume: true })
    await after.settled("streaming")
    await after.settled("ready")
    expect(after.chat().messages.map(message => message.id)).toEqual(kept.map(message => message.id))
    expect(textOf(after.last())).toBe((await truth("part kept")).text[0])
  })

  test("after a tool's output goes on in that message, with the last answer alone", async () => {
    const messages: UIMessage[] = [
      { id: "q1", role: "user", parts: [{ type: "text", text: asked("tool and reload", SLOW) }] },
      {
        id: "a1", role: "assistant",
        parts: [{ type: "step-start" }, { type: "tool-weather", toolCallId: "c1", state: "output-available", input: {}, output: "rain" }],
      },
    ]
    const before = page("resume-tool", { messages })
    await act(async () => void before.chat().sendMessage())
    await before.grown()
    before.leave()
    const after = page("resume-tool", { messages, resume: true })
    await after.grown()
    await after.settled("ready")
    expect(after.chat().messages.map(message => message.id)).toEqual(["q1", "a1"])
    expect(after.last()?.parts.map(part => part.type)).toEqual(["step-start", "reasoning", "text"])
    expect(textOf(after.last())).toBe((await truth("tool and reload")).text[0])
  })

  test("may be open twice", async () => {
    const one = page("resume-twice")
    await one.ask("two pages", SLOW)
    await one.grown()
    const two = page("resume-twice", { resume: true })
    await two.grown()
    await Promise.all([one.settled("ready"), two.settled("ready")])
    expect(two.last()).toEqual(one.last())
    expect(textOf(two.last())).toBe((await truth("two pages")).text[0])
  })

  test("finds the answer before its first word", async () => {
    const before = page("resume-early")
    await before.ask("not yet", { text: "at last", first_token_delay: 1 })
    await before.settled("submitted")
    await patiently(async () => expect((await active("resume-early")).status).toBe(200))
    before.leave()
    const after = page("resume-early", { resume: true })
    await after.grown()
    await after.settled("ready")
    expect(textOf(after.last())).toBe("at last")
  })

  test("is ready at once when nothing is active, before an answer and after it", async () => {
    const one = page("resume-nothing", { resume: true })
    await one.hear("nothing active", { tokens: 5 })
    const kept = one.chat().messages
    one.leave()
    expect((await active("resume-nothing")).status).toBe(204)
    const after = page("resume-nothing", { messages: kept, resume: true })
    await after.chat().resumeStream()
    expect(after.statuses).toEqual(["ready"])
    expect(after.chat().messages).toEqual(kept)
    expect(after.chat().error).toBeUndefined()
  })

  test("shows it once in React's strict mode, which mounts everything twice", async () => {
    const before = page("resume-strict")
    await before.ask("strict", SLOW)
    await before.grown()
    const given = { id: "resume-strict", transport: transport(), resume: true }
    const hook = renderHook(() => useChat(given), { wrapper: StrictMode })
    await patiently(() => expect(hook.result.current.messages).toHaveLength(1))
    await before.settled("ready")
    await patiently(() => expect(hook.result.current.status).toBe("ready"))
    expect(hook.result.current.messages).toHaveLength(1)
    expect(textOf(hook.result.current.messages[0])).toBe((await truth("strict")).text[0])
  })

  test("can stop what it resumed, under an id with odd characters", async () => {
    const id = "a/b c?d=%2F#ü"
    const before = page(id)
    await before.ask("odd id", { tokens: 500, pace: 0.02 })
    await before.grown()
    before.leave()
    const after = page(id, { resume: true })
    await after.grown()
    expect(await (await stop(id)).json()).toMatchObject({ outcome: "cancelled" })
    await after.settled("ready")
    expect((await truth("odd id")).ended).toBe("closed_by_peer")
  })
})
