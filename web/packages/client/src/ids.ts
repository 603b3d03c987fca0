/** 32 hexadecimal digits, random. */
export function newId(): string {
  // crypto.randomUUID is there only on https and localhost; this is everywhere.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
