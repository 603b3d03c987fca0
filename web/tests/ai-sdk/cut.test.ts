// @vitest-environment jsdom
import { act } from "@testing-library/react"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { active, here, page, patiently, textOf, transport, truth } from "./place.ts"
import { wire } from "./wire.ts"

const SLOW = { tokens: 80, unicode: true, pace: 0.02 }

describe.runIf(here)("a page whose connection was lost", () => {
  let line: Awaited<ReturnType<typeof wire>>
  beforeAll(async () => void (line = await wire()))
  afterAll(() => line.remove())

  test("knows it, keeps what came, and resumes: the whole answer, once, in the same message", async () => {
    const one = page("cut-live", { transport: transport({ api: `${line.address}/api/chat` }) })
    await one.ask("cut and resumed", SLOW)
    await one.grown(20)
    line.cut()
    await one.settled("error")
    const before = one.last()
    expect(textOf(before)).not.toBe("")
    await act(async () => one.chat().resumeStream())
    expect(one.chat().status).toBe("ready")
    expect(one.chat().error).toBeUndefined()
    expect(one.chat().messages).toHaveLength(2)
    expect(one.last()?.id).toBe(before?.id)
    expect(textOf(one.last())).toBe((await truth("cut and resumed")).text[0])
  })

  test("finds an answer that ended meanwhile by its stream, which the message names", async () => {
    const one = page("cut-over", {
      transport: transport({
        api: `${line.address}/api/chat`,
        prepareReconnectToStreamRequest: () => {
          const { stream } = one.last()?.metadata as { stream: string }
          return { api: `${line.address}/v1/streams/${stream}?format=ui-messages` }
        },
      }),
    })
    await one.ask("ended meanwhile", SLOW)
    await one.grown(20)
    line.cut()
    await one.settled("error")
    const said = await truth("ended meanwhile")
    expect(said.ended).toBe("done")
    await patiently(async () => expect((await active("cut-over")).status).toBe(204))
    await act(async () => one.chat().resumeStream())
    expect(one.chat().status).toBe("ready")
    expect(one.chat().messages).toHaveLength(2)
    expect(textOf(one.last())).toBe(said.text[0])
  })
})
