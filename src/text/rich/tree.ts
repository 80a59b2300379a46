/** Tags of a segment as a tree, laid out over its translation so that they nest as they did. */
import type { ViewPoint } from "./view.ts";

/** An element or a point, with where its text is in the source. */
export interface TagNode {
  /** Range in the view's text; a point has start = end. */
  readonly start: number;
  end: number;
  readonly open: string;
  close: string;
  readonly children: TagNode[];
}

/** The tree of a view's points. Throws RangeError where they do not nest: formats hand over pairs that do. */
export function tagTree(points: readonly ViewPoint[]): TagNode[] {
  const roots: TagNode[] = [];
  const stack: { node: TagNode; pair: number }[] = [];
  for (const { kind, at, raw, pair } of points) {
    if (kind === "close") {
      const top = stack.pop();
      if (top?.pair !== pair) throw new RangeError("tags of a segment must be well nested");
      top.node.end = at;
      top.node.close = raw;
      continue;
    }
    const node: TagNode = { start: at, end: at, open: raw, close: "", children: [] };
    (stack.at(-1)?.node.children ?? roots).push(node);
    if (kind === "open") stack.push({ node, pair });
  }
  if (stack.length > 0) throw new RangeError("every tag of a segment must be closed in it");
  return roots;
}

/** A node with its place in the translation. */
export interface LaidNode {
  readonly node: TagNode;
  start: number;
  end: number;
  readonly children: readonly LaidNode[];
}

/**
 * Gives siblings places that do not overlap, inside their parent's, as near to the wished ones as that allows.
 * `wish` says where a node would best be.
 */
export function layOut(
  nodes: readonly TagNode[],
  parent: { start: number; end: number },
  wish: (node: TagNode) => { start: number; end: number },
): LaidNode[] {
  const within = (at: number) => Math.min(Math.max(at, parent.start), parent.end);
  const laid = nodes.map((node, order) => {
    const { start, end } = wish(node);
    return { node, order, start: within(start), end: Math.max(within(start), within(end)) };
  });
  laid.sort((a, b) => a.start - b.start || a.order - b.order);
  let at = parent.start;
  for (const [i, one] of laid.entries()) {
    one.start = Math.max(one.start, at);
    one.end = Math.max(one.end, one.start);
    // The next one begins inside this one: this one gives way, unless it would be left with nothing.
    const next = laid[i + 1];
    if (
      next !== undefined && next.start > one.start && next.start < one.end && next.end > next.start
    ) {
      one.end = next.start;
    }
    at = one.end;
  }
  return laid.map(({ node, start, end }) => ({
    node,
    start,
    end,
    children: layOut(node.children, { start, end }, wish),
  }));
}
