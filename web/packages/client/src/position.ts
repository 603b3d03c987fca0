// Positions: `epoch:offset` after a whole entry, `epoch:offset.part` after one of its blocks.

/** Where in which log. `part` is Infinity after the whole entry. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
  readonly part: number;
}

// Parts may be long: those of another rendering than the first have large numbers. Only their order means something.
const FORM = /^([A-Za-z0-9_-]{1,64}):(\d{1,15})(?:\.(\d{1,15}))?$/;

/** Null for what is no position. */
export function parsePosition(text: string | null | undefined): Position | null {
  const match = FORM.exec(text ?? "");
  if (match === null) return null;
  return { epoch: match[1]!, offset: Number(match[2]), part: match[3] === undefined ? Infinity : Number(match[3]) };
}

/** Is this block new to a reader that has seen everything up to `seen`? Both of one epoch. */
export function isAfter(block: Position, seen: Position): boolean {
  return block.offset > seen.offset || (block.offset === seen.offset && block.part > seen.part);
}
