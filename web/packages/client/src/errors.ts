/** What is known of a failure, as plain data. */
export interface ErrorInfo {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** A refusal by the server, or the end of an answer that failed. */
export class ChatError extends Error implements ErrorInfo {
  override readonly name = "ChatError";
  /** Of HTTP; 0 where there was none: the connection failed, or the error came in the stream. */
  readonly status: number;
  readonly code: string;
  readonly retryable: boolean;
  /** Seconds, if the server said so. */
  readonly retryAfter: number | null;

  constructor(info: ErrorInfo & { status?: number; retryAfter?: number | null }) {
    super(info.message);
    this.code = info.code;
    this.retryable = info.retryable;
    this.status = info.status ?? 0;
    this.retryAfter = info.retryAfter ?? null;
  }

  /** Was it said by something on the way, and not by the server, whose refusals have a code? */
  get foreign(): boolean {
    return this.code === `http_${this.status}`;
  }
}

/** The refusal that this response is. Reads its body. */
export async function errorOf(response: Response): Promise<ChatError> {
  const body: unknown = await response.json().catch(() => null);
  const error = typeof body === "object" && body !== null && "error" in body ? body.error : null;
  const said = (typeof error === "object" && error !== null ? error : {}) as Partial<ErrorInfo>;
  const seconds = Number.parseFloat(response.headers.get("retry-after") ?? "");
  return new ChatError({
    status: response.status,
    code: said.code ?? `http_${response.status}`,
    message: said.message ?? `The server answered ${response.status}.`,
    retryable: said.retryable ?? (response.status >= 500 || response.status === 429),
    retryAfter: seconds >= 0 ? seconds : null,
  });
}
