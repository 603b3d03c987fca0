// Does a text go on from the one before?

const COMPARED = 512;
const SAMPLES = 64;
const MOST_ADDED = 4_096;

/**
 * Whether `text` begins with `before`.
 *
 * To compare all of it took most of an update's time at 200,000 characters (0.7 of 1 ms). So, where little was added,
 * only the end of `before` is compared, and 64 characters spread over it: a text cut back or written anew differs
 * there. One that was edited in place, with the same length up to its last 512 characters, may go unnoticed; so a caller
 * that edits a text makes a new view. Where much was added at once, all is compared.
 */
export function goesOn(before: string, text: string): boolean {
  const { length } = before;
  if (text.length < length) return false;
  if (length <= 4 * COMPARED || text.length - length > MOST_ADDED) return text.startsWith(before);
  if (text.slice(length - COMPARED, length) !== before.slice(length - COMPARED)) return false;
  const stride = length / SAMPLES;
  for (let sample = 0; sample < SAMPLES; sample++) {
    const at = Math.floor(sample * stride);
    if (text.charCodeAt(at) !== before.charCodeAt(at)) return false;
  }
  return true;
}
