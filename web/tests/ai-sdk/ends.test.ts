// @vitest-environment jsdom
import { act } from "@testing-library/react"
import { APICallError } from "@ai-sdk/provider"
import { describe, expect, test } from "vitest"
import { active, here, page, patiently, stop, textOf, truth, truths } from "./place.ts"

const ENDLESS = { tokens: 3000, pace: 0.02 }

describe.runIf(here)("stop", () => {
  test("in the page leaves the server to go on; the stop route ends it", async () => {
    const one = page("stop-both")
    await one.ask("stopped", ENDLESS)
    await one.grown(20)
    await act(() => one.chat().stop())
    expect(one.chat().status).toBe("ready")
    const shown = textOf(one.last())
    expect((await active("stop-both")).status).toBe(200)
    const told = await stop("stop-both")
    expect([told.status, (await told.json()).outcome]).toEqual([200, "cancelled"])
    const said = await truth("stopped")
    expect(said.ended).toBe("closed_by_peer")
    expect(said.text[0]!.startsWith(shown)).toBe(true)
    expect(textOf(one.last())).toBe(shown)
    expect((await stop("stop-both")).status).toBe(204)
    expect((await active("stop-both")).status).toBe(204)
  })

  test("by the route alone is no error to the page that reads", async () => {
    const one = page("stop-route")
    await one.ask("routed", ENDLESS)
    await one.grown(20)
    await stop("stop-route")
    await one.settled("ready")
    expect(one.chat().error).toBeUndefined()
    expect((await truth("routed")).text[0]!.startsWith(textOf(one.last()))).toBe(true)
  })

  test("leaves the chat as it was: the next question is answered", async () => {
    const one = page("stop-next")
    await one.ask("given up", ENDLESS)
    await one.grown()
    await act(() => one.chat().stop())
    await stop("stop-next")
    await one.hear("next question", { text: "next answer" })
    expect(textOf(one.last())).toBe("next answer")
    expect(one.chat().messages).toHaveLength(4)
  })
})

describe.runIf(here)("an error", () => {
  test("before the first word is the refusal: its status, and its body as the message", async () => {
    const one = page("error-limit")
    await one.ask("too many", { status: 429, retry_after: 7, error_body: { error: { message: "slow down" } }, times: 1 })
    await one.settled("error")
    expect(one.statuses).toEqual(["ready", "submitted", "error"])
    const error = one.chat().error
    expect(APICallError.isInstance(error) && error.statusCode).toBe(429)
    expect(JSON.parse(error!.message)).toEqual({ error: { code: "upstream_rate_limited", message: "slow down", retryable: true } })
    expect(one.chat().messages).toHaveLength(1)
    expect((await active("error-limit")).status).toBe(204)
    await act(() => one.chat().regenerate())
    await one.settled("ready")
    expect(one.chat().error).toBeUndefined()
    expect(textOf(one.last())).toBe((await truths("too many", 2))[1]!.text[0])
  })

  test("of the request names what is wrong", async () => {
    const one = page("e".repeat(256))
    await one.ask("no such chat", {})
    await one.settled("error")
    expect(JSON.parse(one.chat().error!.message).error).toMatchObject({ code: "invalid_request", param: "id" })
  })

  for (const [how, cue] of Object.entries({
    cut: { cut_after: 12, cut: "reset" }, "in the stream": { error_after: 12 }, "without an end": { omit_done: true },
  })) {
    test(`in the middle (${how}) keeps what came, and is never a good end`, async () => {
      const one = page(`error-${how}`)
      await one.ask(`broken ${how}`, { tokens: 20, pace: 0.01, ...cue })
      await one.settled("error")
      expect(one.statuses).toEqual(["ready", "submitted", "streaming", "error"])
      expect(textOf(one.last())).toBe((await truth(`broken ${how}`)).text[0])
      expect(textOf(one.last())).not.toBe("")
      expect(one.chat().error!.message).not.toMatch(/^\s*\{|validation|undefined/)
      expect((one.last()?.metadata as Record<string, unknown>)["outcome"]).toBeUndefined()
      expect((await active(`error-${how}`)).status).toBe(204)
    })
  }

  test("is told to a page that resumed, too", async () => {
    const before = page("error-resumed")
    await before.ask("resumed error", { tokens: 60, pace: 0.02, cut_after: 50, cut: "reset" })
    await before.grown()
    before.leave()
    const after = page("error-resumed", { resume: true })
    await after.settled("error")
    expect(textOf(after.last())).toBe((await truth("resumed error")).text[0])
    await patiently(async () => expect((await active("error-resumed")).status).toBe(204))
  })
})
