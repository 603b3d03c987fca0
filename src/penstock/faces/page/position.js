// Positions: `epoch:offset` after a whole entry, `epoch:offset.part` after one of its blocks.

const FORM = /^([a-z0-9]{1,32}):(\d{1,15})(?:\.(\d{1,6}))?$/;

/** @returns {{epoch: string, offset: number, part: number} | null} part is Infinity after the whole entry */
export function parsePosition(text) {
  const match = FORM.exec(text ?? "");
  return match && { epoch: match[1], offset: Number(match[2]), part: match[3] ? Number(match[3]) : Infinity };
}

/** Is this block new to a reader that has seen everything up to `seen`? Both of one epoch. */
export function isAfter(block, seen) {
  return block.offset > seen.offset || (block.offset === seen.offset && block.part > seen.part);
}
