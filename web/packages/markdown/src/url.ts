// The only door through which an address gets into the document.

import { decodeEntities } from "./entities.ts";

// Controls, spaces and invisible characters: browsers ignore some of them within a scheme, readers cannot see the rest.
const IGNORED = /[\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff]/g;
const LONGEST = 4096;

/** An address that may be a link, and what to call the place it leads to. */
export interface SafeAddress {
  readonly href: string;
  readonly host: string;
}

/**
 * The address as it may be written into `href`, or null.
 *
 * Only absolute http, https and mailto addresses pass: a relative one would lead into the page's own site, and anything
 * else may run or read something. So that a link does not lead elsewhere than it seems to, none may carry a user name.
 *
 * @param literal the address of an autolink, in which character references mean nothing
 */
export function safeAddress(written: string, literal = false): SafeAddress | null {
  if (written.length > LONGEST) return null;
  const address = (literal ? written : decodeEntities(written)).replace(IGNORED, "");
  const scheme = /^(https?:\/\/|mailto:)/i.exec(address)?.[1]?.toLowerCase();
  if (scheme === undefined) return null;
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (scheme === "mailto:") {
    if (url.protocol !== "mailto:" || !url.pathname.includes("@")) return null;
    return { href: url.href, host: url.pathname };
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  if (url.hostname === "" || url.username !== "" || url.password !== "") return null;
  return { href: url.href, host: url.host };
}
