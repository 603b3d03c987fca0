// An incremental reader of Server-Sent Events, by the WHATWG rules.

/** One event as it was dispatched. `id` is the last one that was told, perhaps by an earlier event. */
export interface Block {
  readonly id: string;
  readonly name: string;
  readonly data: string;
}

/** Feed it chunks, cut anywhere; it calls back with whole events. */
export class SseReader {
  #decoder = new TextDecoder(); // drops one leading byte order mark, and keeps characters cut by a chunk's end
  #rest = "";
  #afterCarriageReturn = false;
  #id = "";
  #name = "";
  #data: string[] = [];
  #onBlock: (block: Block) => void;

  constructor(onBlock: (block: Block) => void) {
    this.#onBlock = onBlock;
  }

  feed(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code !== 10 && code !== 13) {
        this.#afterCarriageReturn = false;
        continue;
      }
      if (code === 10 && this.#afterCarriageReturn) {
        // The second half of a CR LF, perhaps in another chunk than the first.
        this.#afterCarriageReturn = false;
        from = at + 1;
        continue;
      }
      const line = this.#rest + text.slice(from, at);
      this.#rest = "";
      this.#afterCarriageReturn = code === 13;
      from = at + 1;
      this.#line(line);
    }
    this.#rest += text.slice(from);
  }

  #line(line: string): void {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment: the server's keepalive
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#name = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }

  #dispatch(): void {
    const data = this.#data;
    const name = this.#name || "message";
    this.#data = [];
    this.#name = "";
    if (data.length > 0) this.#onBlock({ id: this.#id, name, data: data.join("\n") });
  }
}
