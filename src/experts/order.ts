/**
 * The order in which a layer's experts lie in their object. What is missed in one pass and lies side by side comes by
 * one read, so a set S of experts asked for together takes |S| reads, less one for each pair of neighbours that are
 * both in S. The best order is then the path through all experts whose neighbours are asked for together most often:
 * a travelling salesman's, solved by joining the heaviest pairs first and then turning pieces around as long as that
 * gains.
 */
import type { Trace } from "./trace.ts";

/** How often two experts of a layer are asked for together: [count * count], symmetric, with a diagonal of 0. */
export type Together = Float64Array;

/** Orders of one trace: for each layer a permutation of its experts. */
export function orderExperts(trace: Trace): number[][] {
  return coldMisses(trace).map((sets, l) => {
    const { count } = trace.layers[l]!;
    return heaviestPath(together(sets, count), count);
  });
}

/**
 * For each layer the sets of experts that sentences ask for at once when nothing is cached but what the sentence itself
 * has brought in. Sets of one are left out: no order helps them.
 */
export function coldMisses(trace: Trace): number[][][] {
  const sets: number[][][] = trace.layers.map(() => []);
  let seen = trace.layers.map(() => new Set<number>());
  for (const { layer, experts, sentence } of trace.visits) {
    if (sentence !== undefined) seen = trace.layers.map(() => new Set());
    const missing = experts.filter((e) => !seen[layer]!.has(e));
    for (const e of missing) seen[layer]!.add(e);
    if (missing.length > 1) sets[layer]!.push(missing);
  }
  return sets;
}

/** Counts pairs. */
export function together(sets: readonly (readonly number[])[], count: number): Together {
  const pairs = new Float64Array(count * count);
  for (const set of sets) {
    for (const a of set) for (const b of set) if (a !== b) pairs[a * count + b]!++;
  }
  return pairs;
}

/** What an order saves: the weights of its neighbours. */
export function savedBy(order: readonly number[], pairs: Together): number {
  const count = order.length;
  let saved = 0;
  for (let i = 1; i < count; i++) saved += pairs[order[i - 1]! * count + order[i]!]!;
  return saved;
}

/** A path through all experts with heavy neighbours; equal weights give equal orders. */
export function heaviestPath(pairs: Together, count: number): number[] {
  const order = joinHeaviest(pairs, count);
  while (turnPieces(order, pairs) || movePieces(order, pairs));
  return order;
}

/** Joins ends of paths, the heaviest pair first; of equal ones the lower numbers. */
function joinHeaviest(pairs: Together, count: number): number[] {
  const edges: [number, number][] = [];
  for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) edges.push([a, b]);
  const weight = ([a, b]: [number, number]) => pairs[a * count + b]!;
  edges.sort((x, y) => weight(y) - weight(x) || x[0] - y[0] || x[1] - y[1]);
  const pathOf = Array.from({ length: count }, (_, e) => [e]);
  for (const [a, b] of edges) {
    const left = pathOf[a]!, right = pathOf[b]!;
    const isEnd = (path: number[], e: number) => path[0] === e || path.at(-1) === e;
    if (left === right || !isEnd(left, a) || !isEnd(right, b)) continue;
    if (left.at(-1) !== a) left.reverse();
    if (right[0] !== b) right.reverse();
    left.push(...right);
    for (const e of right) pathOf[e] = left;
  }
  return pathOf[0] ?? [];
}

/** Turns every piece around whose turned ends weigh more (2-opt). Answers whether any did. */
function turnPieces(order: number[], pairs: Together): boolean {
  const count = order.length;
  const weight = (i: number, j: number) =>
    i < 0 || j >= count ? 0 : pairs[order[i]! * count + order[j]!]!;
  let any = false;
  for (let i = 0; i < count - 1; i++) {
    for (let j = i + 1; j < count; j++) {
      const before = weight(i - 1, i) + weight(j, j + 1);
      const after = (i > 0 ? weight(i - 1, j) : 0) + (j + 1 < count ? weight(i, j + 1) : 0);
      if (after <= before) continue;
      order.splice(i, j - i + 1, ...order.slice(i, j + 1).reverse());
      any = true;
    }
  }
  return any;
}

const MOST_MOVED = 3;

/** Moves every piece of up to three experts to where it weighs more, either way around (Or-opt). */
function movePieces(order: number[], pairs: Together): boolean {
  let any = false;
  for (let length = 1; length <= Math.min(MOST_MOVED, order.length - 1); length++) {
    for (let from = 0; from + length <= order.length; from++) {
      any = movePiece(order, pairs, from, length) || any;
    }
  }
  return any;
}

function movePiece(order: number[], pairs: Together, from: number, length: number): boolean {
  const count = order.length;
  const weight = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? 0 : pairs[a * count + b]!;
  const piece = order.slice(from, from + length);
  const rest = [...order.slice(0, from), ...order.slice(from + length)];
  const first = piece[0]!, last = piece.at(-1)!;
  const gain = (at: number, head: number, tail: number) =>
    weight(rest[at - 1], head) + weight(tail, rest[at]) - weight(rest[at - 1], rest[at]);
  let best = gain(from, first, last), to = from, turned = false;
  for (let at = 0; at <= rest.length; at++) {
    for (const turn of [false, true]) {
      const g = turn ? gain(at, last, first) : gain(at, first, last);
      if (g > best) [best, to, turned] = [g, at, turn];
    }
  }
  if (to === from && !turned) return false;
  rest.splice(to, 0, ...(turned ? piece.reverse() : piece));
  order.splice(0, count, ...rest);
  return true;
}
