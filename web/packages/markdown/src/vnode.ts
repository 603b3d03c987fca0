// A description of DOM nodes, and the change from the nodes that are there to the ones described.
//
// The nodes themselves are read, no earlier description is kept: so whatever is in the document, however it came there,
// is made to match, and what matches already is not touched.

/** The elements that content can become. Nothing else is ever created. */
export type Tag =
  | "a" | "blockquote" | "br" | "button" | "code" | "del" | "div" | "em" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"
  | "hr" | "input" | "li" | "ol" | "p" | "pre" | "span" | "strong" | "table" | "tbody" | "td" | "th" | "thead" | "tr"
  | "ul";

export type Attributes = Readonly<Record<string, string>>;

export interface VElement {
  readonly tag: Tag;
  readonly attributes: Attributes;
  readonly kids: readonly VNode[];
  /** The first so many children are settled, and not in `kids`: they are left alone. */
  readonly settled?: number;
  /** Set as a property of the element's style: of a highlighter, never of content. */
  readonly color?: string;
}

export type VNode = string | VElement;

const NONE: Attributes = {};

/** Describe an element; neighbouring texts become one text. */
export function h(tag: Tag, attributes: Attributes | null, kids: readonly VNode[] = []): VElement {
  return { tag, attributes: attributes ?? NONE, kids: joined(kids) };
}

/** The same nodes with neighbouring texts joined, and no empty ones. */
export function joined(kids: readonly VNode[]): VNode[] {
  const result: VNode[] = [];
  for (const kid of kids) {
    const last = result.at(-1);
    if (kid === "") continue;
    if (typeof kid === "string" && typeof last === "string") result[result.length - 1] = last + kid;
    else result.push(kid);
  }
  return result;
}

/** Make the node from its description. */
export function create(described: VNode, owner: Document): ChildNode {
  if (typeof described === "string") return owner.createTextNode(described);
  const element = owner.createElement(described.tag);
  for (const [name, value] of Object.entries(described.attributes)) element.setAttribute(name, value);
  if (described.color !== undefined) element.style.color = described.color;
  for (const kid of described.kids) element.append(create(kid, owner));
  return element;
}

/** Make the children of `parent`, from the child numbered `settled` on, those described. */
export function patchKids(parent: Element, kids: readonly VNode[], settled = 0): void {
  let node: ChildNode | null = settled === 0 ? parent.firstChild : (parent.childNodes[settled] ?? null);
  for (const kid of kids) {
    if (node === null) parent.append(create(kid, parent.ownerDocument));
    else node = patchNode(node, kid).nextSibling;
  }
  while (node !== null) {
    const next: ChildNode | null = node.nextSibling;
    node.remove();
    node = next;
  }
}

/** Change the node into the one described, or put a new one in its place; returns the node that is there now. */
export function patchNode(node: ChildNode, described: VNode): ChildNode {
  if (typeof described === "string") {
    if (node.nodeType === 3) {
      patchText(node as Text, described);
      return node;
    }
  } else if (node.nodeType === 1 && (node as Element).localName === described.tag) {
    const element = node as HTMLElement;
    patchAttributes(element, described.attributes);
    if (described.color !== undefined && element.style.color !== described.color) element.style.color = described.color;
    patchKids(element, described.kids, described.settled);
    return element;
  }
  const made = create(described, node.ownerDocument as Document);
  node.replaceWith(made);
  return made;
}

function patchAttributes(element: Element, attributes: Attributes): void {
  for (const name of element.getAttributeNames()) {
    if (!(name in attributes) && name !== "style") element.removeAttribute(name);
  }
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}

/** Only what differs at the end is written: a selection in the beginning stays. */
function patchText(node: Text, text: string): void {
  const old = node.data;
  if (old === text) return;
  if (text.startsWith(old)) return node.appendData(text.slice(old.length));
  let same = 0;
  while (same < old.length && same < text.length && old.charCodeAt(same) === text.charCodeAt(same)) same += 1;
  node.replaceData(same, old.length - same, text.slice(same));
}
