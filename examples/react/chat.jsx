import { conversation, createChat, newId } from "@penstock/client"
import { useStreamingChat } from "@penstock/react"
import { useState } from "react"
import { createRoot } from "react-dom/client"

// The conversation's id is in the address; the conversation itself is at the server.
if (!location.hash) history.replaceState(null, "", `#${newId()}`)
const id = location.hash.slice(1)
const transport = conversation({ api: "/v1/conversations", id })
const chat = createChat({ id, transport, model: "demo", storage: localStorage })

function Chat() {
  const [text, setText] = useState("")
  const { messages, queued, status, connection, sendMessage, regenerate, stop, removeQueued } = useStreamingChat({ chat, resume: true })
  const busy = status === "submitted" || status === "streaming"

  function ask(event) {
    event.preventDefault()
    sendMessage({ text }) // while an answer is coming it is queued
    setText("")
  }

  return (
    <>
      {messages.map(message => (
        <article key={message.id} data-role={message.role} aria-busy={message.state === "streaming"}>
          <h2>{message.role}</h2>
          {message.reasoning && <details><summary>Thinking</summary>{message.reasoning}</details>}
          <p style={{ whiteSpace: "pre-wrap" }}>{message.text}</p>
          {message.error && <p role="alert">{message.error.message} <button onClick={() => regenerate()}>Try again</button></p>}
        </article>
      ))}
      {queued.length > 0 && (
        <ul aria-label="Sent after this answer">
          {queued.map(({ id, text }) => <li key={id}>{text} <button onClick={() => removeQueued(id)}>Remove</button></li>)}
        </ul>
      )}
      <form onSubmit={ask}>
        <input aria-label="Your message" value={text} onChange={event => setText(event.target.value)} required />
        <button>Send</button>
        {busy && <button type="button" onClick={() => stop()}>Stop</button>}
      </form>
      <p role="status">{connection.state === "reconnecting" ? "reconnecting" : status}</p>
    </>
  )
}

createRoot(document.getElementById("page")).render(<Chat />)
