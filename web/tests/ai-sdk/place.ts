// Where these tests run: a real `penstock serve` before a real `penstock sim`, both started by tests/faces/test_ai_sdk.py,
// which gives their addresses in the environment. Nothing here stands in for a part of the AI SDK.
import { existsSync, readFileSync } from "node:fs"
import { env } from "node:process"
import { useChat } from "@ai-sdk/react"
import { act, cleanup, renderHook, waitFor } from "@testing-library/react"
import { type ChatInit, DefaultChatTransport, type UIMessage } from "ai"
import { afterEach, expect, vi } from "vitest"

export const address = env["PENSTOCK_URL"] ?? ""
const truthPath = env["PENSTOCK_TRUTH"] ?? ""
export const here = address !== "" && existsSync(truthPath)

const PATIENCE = { timeout: 30_000, interval: 10 }
vi.setConfig({ testTimeout: 60_000 })
afterEach(cleanup)

export const patiently = <T>(found: () => T | Promise<T>): Promise<T> => waitFor(found, PATIENCE)

// -- the page --------------------------------------------------------------------------------------------------------

type Options = Omit<ChatInit<UIMessage>, "id"> & { resume?: boolean }

export function transport(options: ConstructorParameters<typeof DefaultChatTransport<UIMessage>>[0] = {}) {
  return new DefaultChatTransport<UIMessage>({ api: `${address}/api/chat`, body: { model: "m" }, ...options })
}

/** A page with `useChat`, and every status and state of a part that it was rendered with. */
export function page(id: string, options: Options = {}) {
  const statuses: string[] = []
  const states: string[] = []
  const given = { id, transport: transport(), ...options }
  const hook = renderHook(() => {
    const chat = useChat(given)
    note(statuses, chat.status)
    for (const part of chat.messages.at(-1)?.parts ?? []) if ("state" in part && part.state) note(states, `${part.type} ${part.state}`)
    return chat
  })
  const chat = () => hook.result.current
  const settled = (status: string) => patiently(() => expect(chat().status).toBe(status))
  return {
    chat, statuses, states, settled,
    leave: hook.unmount,
    last: () => chat().messages.at(-1),
    /** Ask, and do not wait. */
    ask: (prompt: string, cue: object) => act(async () => void chat().sendMessage({ text: asked(prompt, cue) })),
    /** Ask, and wait for the whole answer. */
    async hear(prompt: string, cue: object) {
      await this.ask(prompt, cue)
      await patiently(() => expect(chat().messages.at(-1)?.role).toBe("assistant"))
      await settled("ready")
    },
    /** Wait until so many characters of the answer's text are there. */
    grown: (length = 1) => patiently(() => {
      const last = chat().messages.at(-1)
      expect(last?.role).toBe("assistant")
      expect(textOf(last).length).toBeGreaterThanOrEqual(length)
    }),
  }
}

function note(list: string[], value: string) {
  if (list.at(-1) !== value) list.push(value)
}

export const asked = (prompt: string, cue: object) => `${prompt} sim:${JSON.stringify(cue)}`

export const textOf = (message: UIMessage | undefined) => partsOf(message, "text")
export const reasoningOf = (message: UIMessage | undefined) => partsOf(message, "reasoning")

function partsOf(message: UIMessage | undefined, type: "text" | "reasoning") {
  return (message?.parts ?? []).map(part => (part.type === type ? part.text : "")).join("")
}

// -- the upstream ----------------------------------------------------------------------------------------------------

export type End = {
  ended: string; status: number | null; text: string[]; reasoning: string[]
  tool_calls: { id: string; name: string; arguments: string }[][]
}
type Line = { type: string; id: number; body: unknown } & End

/** How the upstream's answers to a prompt ended, by its own account, once `count` of them have. */
export function truths(prompt: string, count = 1): Promise<End[]> {
  return patiently(() => {
    const lines = readFileSync(truthPath, "utf-8").split("\n").slice(0, -1).map(line => JSON.parse(line) as Line)
    const ids = lines.filter(line => line.type === "request" && JSON.stringify(line.body).includes(prompt)).map(line => line.id)
    const ends = lines.filter(line => line.type === "end" && ids.includes(line.id))
    expect(ends.length).toBeGreaterThanOrEqual(count)
    return ends
  })
}

export async function truth(prompt: string): Promise<End> {
  const [end] = await truths(prompt)
  return end!
}

export const stop = (id: string) => fetch(`${address}/api/chat/${encodeURIComponent(id)}/stop`, { method: "POST" })
export const active = (id: string) => fetch(`${address}/api/chat/${encodeURIComponent(id)}/stream`)
