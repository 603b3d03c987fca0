import { useChat } from "@ai-sdk/react"
import { DefaultChatTransport } from "ai"
import { useEffect, useState } from "react"
import { createRoot } from "react-dom/client"

// The chat's id is in the address, and its messages are in the browser: a reload finds both.
if (!location.hash) history.replaceState(null, "", `#${crypto.randomUUID()}`)
const id = location.hash.slice(1)
const kept = JSON.parse(localStorage.getItem(id) ?? "[]")
const transport = new DefaultChatTransport({ api: "/api/chat", body: { model: "demo" } })

function Chat() {
  const [text, setText] = useState("")
  // `resume`: what was being answered when the page went away goes on here, in the same message.
  const { messages, status, error, sendMessage, regenerate, stop } = useChat({ id, messages: kept, transport, resume: true })
  useEffect(() => localStorage.setItem(id, JSON.stringify(messages)), [messages])
  const busy = status === "submitted" || status === "streaming"

  function ask(event) {
    event.preventDefault()
    sendMessage({ text })
    setText("")
  }

  function halt() {
    stop() // the page reads no more ...
    fetch(`/api/chat/${encodeURIComponent(id)}/stop`, { method: "POST" }) // ... and the model is told, too
  }

  return (
    <>
      {messages.map(message => (
        <article key={message.id} data-role={message.role}>
          <h2>{message.role}</h2>
          {message.parts.map((part, number) => <Part key={number} part={part} />)}
        </article>
      ))}
      {error && <p role="alert">{reason(error)} <button onClick={() => regenerate()}>Try again</button></p>}
      <form onSubmit={ask}>
        <input aria-label="Your message" value={text} onChange={event => setText(event.target.value)} required />
        {busy ? <button type="button" onClick={halt}>Stop</button> : <button>Send</button>}
      </form>
      <p role="status">{status}</p>
    </>
  )
}

function Part({ part }) {
  if (part.type === "text") return <p style={{ whiteSpace: "pre-wrap" }}>{part.text}</p>
  if (part.type === "reasoning") return <details><summary>Thinking</summary>{part.text}</details>
  if (part.type.startsWith("tool-")) return <code>{part.type.slice(5)}({JSON.stringify(part.input)})</code>
  return null
}

/** An error of the stream is a sentence; a refusal's message is the body of the answer. */
function reason(error) {
  try {
    return JSON.parse(error.message).error.message
  } catch {
    return error.message
  }
}

createRoot(document.getElementById("page")).render(<Chat />)
