// @vitest-environment jsdom
import { act } from "@testing-library/react"
import { lastAssistantMessageIsCompleteWithToolCalls } from "ai"
import { describe, expect, test } from "vitest"
import { here, page, patiently, reasoningOf, textOf, truth, truths } from "./place.ts"

describe.runIf(here)("useChat is answered", () => {
  test("in pieces, from submitted over streaming to ready, with the text that the model said", async () => {
    const one = page("answers-text")
    await one.hear("plain", { tokens: 60, unicode: true, pace: 0.005 })
    expect(one.statuses).toEqual(["ready", "submitted", "streaming", "ready"])
    expect(one.states).toEqual(["text streaming", "text done"])
    expect(textOf(one.last())).toBe((await truth("plain")).text[0])
    expect(one.chat().messages).toHaveLength(2)
    expect(one.last()?.parts.map(part => part.type)).toEqual(["step-start", "text"])
    const { stream, model, outcome, usage } = one.last()?.metadata as Record<string, unknown>
    expect(one.last()?.id).toBe(`msg_${stream}`)
    expect([model, outcome]).toEqual(["m", "completed"])
    expect(usage).toMatchObject({ source: "final" })
  })

  test("with the model's thinking as a part of its own", async () => {
    const one = page("answers-reasoning")
    await one.hear("thinking", { reasoning: "let me see, then", text: "so it is", pace: 0.01 })
    const said = await truth("thinking")
    expect(reasoningOf(one.last())).toBe(said.reasoning[0])
    expect(textOf(one.last())).toBe(said.text[0])
    expect(one.last()?.parts.map(part => part.type)).toEqual(["step-start", "reasoning", "text"])
    expect(one.states).toContain("reasoning streaming")
    expect(one.last()?.parts[1]).toMatchObject({ state: "done" })
  })

  test("with calls of tools that grow, and then are whole", async () => {
    const calls: unknown[] = []
    const one = page("answers-tools", { onToolCall: ({ toolCall }) => void calls.push(toolCall.input) })
    const asked = [
      { id: "call_1", name: "weather", arguments: { city: "Tromsø", days: [1, 2, 3] } },
      { id: "call_2", name: "time", arguments: {} },
    ]
    await one.hear("tools", { text: "look", tool_calls: asked, pace: 0.02 })
    const said = (await truth("tools")).tool_calls[0]!
    expect(one.last()?.parts.slice(2)).toMatchObject(
      said.map(call => ({
        type: `tool-${call.name}`, toolCallId: call.id, state: "input-available", input: JSON.parse(call.arguments),
      })),
    )
    expect(calls).toEqual(asked.map(call => call.arguments))
    expect(one.states).toContain("tool-weather input-streaming")
    expect(one.states.indexOf("tool-weather input-available")).toBeGreaterThan(one.states.indexOf("tool-weather input-streaming"))
  })

  test("and says so when the arguments of a tool are no JSON", async () => {
    const one = page("answers-broken-tool")
    await one.hear("broken tool", { tool_calls: [{ id: "call_1", name: "weather", arguments: '{"city": "Os' }] })
    expect(one.last()?.parts[1]).toMatchObject({ type: "tool-weather", state: "output-error" })
    expect(one.chat().status).toBe("ready")
  })

  test("in one message, when a tool has run in the page", async () => {
    const one = page("answers-tool-output", { sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls })
    await one.hear("tool output", { tool_calls: [{ id: "call_1", name: "weather", arguments: { city: "Oslo" } }], times: 1 })
    const id = one.last()?.id
    await act(async () => one.chat().addToolOutput({ tool: "weather", toolCallId: "call_1", output: "rain" }))
    await patiently(() => expect(textOf(one.last())).not.toBe(""))
    await one.settled("ready")
    expect(one.chat().messages).toHaveLength(2)
    expect(one.last()?.id).toBe(id)
    expect(one.last()?.parts.map(part => part.type)).toEqual(["step-start", "tool-weather", "step-start", "text"])
    expect(one.last()?.parts[1]).toMatchObject({ state: "output-available", output: "rain" })
    expect(textOf(one.last())).toBe((await truths("tool output", 2))[1]!.text[0])
  })

  test("anew, when it asks for another answer", async () => {
    const one = page("answers-regenerate")
    await one.hear("again", { tokens: 10 })
    const first = one.last()
    await act(() => one.chat().regenerate())
    await one.settled("ready")
    expect(one.chat().messages).toHaveLength(2)
    expect(one.last()?.id).not.toBe(first?.id)
    const ends = await truths("again", 2)
    expect(textOf(one.last())).toBe(ends[1]!.text[0])
  })

  test("in turn, message by message, and the model is told all that was said", async () => {
    const one = page("answers-turns")
    await one.hear("turn one", { reasoning: "hm", text: "first answer" })
    await one.hear("turn two", { tool_calls: [{ id: "c1", name: "look", arguments: { at: "it" } }] })
    await act(async () => one.chat().addToolOutput({ tool: "look", toolCallId: "c1", output: { seen: 1 } }))
    await one.hear("turn three", { text: "third answer" })
    expect(one.chat().messages.map(message => message.role)).toEqual(["user", "assistant", "user", "assistant", "user", "assistant"])
    expect(new Set(one.chat().messages.map(message => message.id)).size).toBe(6)
    expect(textOf(one.chat().messages[1])).toBe("first answer")
    expect(textOf(one.last())).toBe((await truth("turn three")).text[0])
  })
})
