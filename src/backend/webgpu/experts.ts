/** Experts by place: each (row, rank) pair finds its expert's slot, alone or in tiles that share one. */
import { type ExpertsOp, type Gating, layoutIndexOf, PLACE_SLOTS } from "../contract.ts";
import { checkTopK, gatingOf, refuse } from "../shapes.ts";
import type { Binding } from "./buffers.ts";
import {
  baseSource,
  type Chunk,
  type Ends,
  firstPlace,
  project,
  slotSource,
  type Source,
  type Work,
} from "./expert_product.ts";
import { gatedWidth, gateRows } from "./gate.ts";
import { type Constants, KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkRows,
  Indices,
  maskWord,
  type Run,
  scratch,
  tensor,
  word,
} from "./operands.ts";
import { inputRows } from "./product.ts";
import { listsOrder, MOST_SLOTS, PAIR_TILE, pairsAtOnce } from "./scratch.ts";
import { weightsOf } from "./weights.ts";

const ACTION = "run experts";
/** From so many pairs an expert on, tiles of pairs are worth their sorting. */
const SHARED_PAIRS = 3;
/** From so many pairs on, where only the device knows their experts. */
const PLACED_PAIRS = 48;
const SORT: Constants = { TILE_M: PAIR_TILE };

/** `Backend.experts`. */
export function experts(run: Run, op: ExpertsOp): void {
  const work = operands(run, op), total = op.x.rows;
  checkPlaces(op);
  checkApart(work.out, [work.x, work.places, work.mask], ACTION);
  const rows = rowsAtOnce(run, work);
  for (let first = 0; first < total; first += rows) {
    runRows(run, work, first, Math.min(rows, total - first));
  }
}

function operands(run: Run, op: ExpertsOp): Work {
  const [fc1, fc2] = op.layout.projections, total = op.x.rows, width = op.x.cols;
  checkTopK(op.topK, ACTION, run.shape.topK);
  if (op.layout.projections.length !== 2 || fc1 === undefined || fc2 === undefined) {
    return refuse(ACTION, "an expert has two projections", String(op.layout.projections.length));
  }
  const hidden = fc1.layout.rows, { maxHidden } = run.shape;
  const inner = gatingOf(op.activation) === undefined ? hidden : gatedWidth(hidden, ACTION);
  if (fc1.layout.cols !== width || fc2.layout.cols !== inner || hidden > maxHidden) {
    refuse(
      ACTION,
      `fc1 reads ${width}, fc2 reads ${inner}, and hidden layers are at most the ${maxHidden} prepared for`,
      `[${hidden}, ${fc1.layout.cols}] and [${fc2.layout.rows}, ${fc2.layout.cols}]`,
    );
  }
  for (const a of op.arenas) {
    // A block may take several adjacent slots.
    if (a.slotBytes * a.slots < op.layout.bytes || a.slotBytes % 16 !== 0) {
      refuse(ACTION, `slots hold a block of ${op.layout.bytes} bytes`, String(a.slotBytes));
    }
  }
  const pairs = total * op.topK;
  const x = tensor(run, op.x, total, width, ACTION, "x");
  const out = tensor(run, op.out, pairs, fc2.layout.rows, ACTION, "out");
  checkRows(run, total, ACTION);
  const up = new Indices(run, ACTION, [[op.places, pairs], [op.mask, total]]);
  return {
    op,
    x,
    out,
    places: up.take(op.places, pairs),
    mask: up.mask(op.mask, total, [out]),
    weights: [
      weightsOf(op.layout.format, fc1.layout, run.tiles),
      weightsOf(op.layout.format, fc2.layout, run.tiles),
    ],
    bases: op.base && [
      baseSource(run, op.base.fc1, fc1.layout, "the base's fc1"),
      baseSource(run, op.base.fc2, fc2.layout, "the base's fc2"),
    ],
  };
}

/** Places of this layout that the host knows lie in an arena, those of live rows. */
function checkPlaces({ places, x, topK, mask, arenas, layoutIndex }: ExpertsOp): void {
  if (!(places instanceof Int32Array)) return;
  const slots = arenas.reduce((n, a) => n + a.slots, 0);
  for (let pair = 0; pair < x.rows * topK; pair++) {
    const place = places[pair]!;
    if (layoutIndexOf(place) !== layoutIndex || place % PLACE_SLOTS < slots) continue;
    if (mask instanceof Int32Array && mask[Math.floor(pair / topK)] === 0) continue;
    refuse(ACTION, `an expert lies in a slot of an arena, 0 to ${slots - 1}`, `place ${place}`);
  }
}

/** Rows whose pairs scratch has room for. */
function rowsAtOnce(run: Run, { op, weights, bases }: Work): number {
  const hidden = weights[0].layout.rows, { stagedRows } = run.sizes;
  const staged = [...weights, ...(bases ?? []).map((b) => b.w)].some((w) => w.staged);
  const most = pairsAtOnce(run.sizes, hidden, gatingOf(op.activation) !== undefined);
  return Math.floor((staged ? Math.min(most, stagedRows) : most) / op.topK);
}

/** Both projections of rows first .. first + rows - 1, arena by arena. */
function runRows(run: Run, work: Work, first: number, rows: number): void {
  const { op } = work, pairs = rows * op.topK, firstPair = first * op.topK;
  let firstSlot = 0;
  for (const arena of op.arenas) {
    const chunk = { arena, firstSlot, firstPair, pairs };
    const { placed, experts } = shareOf(op, chunk);
    const many = op.places instanceof Int32Array
      ? placed >= SHARED_PAIRS * experts
      : placed >= PLACED_PAIRS;
    // Every expert fills tiles but for its last.
    const tiles = many && arena.slots <= MOST_SLOTS
      ? Math.min(placed, Math.floor(placed / PAIR_TILE) + experts)
      : undefined;
    if (placed > 0) runPairs(run, work, { ...chunk, tiles }, first);
    firstSlot += arena.slots;
  }
}

/** Pairs that have an expert in this arena, and those experts; the most there can be where only the device knows. */
function shareOf(
  op: ExpertsOp,
  { arena: { slots }, firstSlot, firstPair, pairs }: Omit<Chunk, "tiles">,
): { placed: number; experts: number } {
  if (!(op.places instanceof Int32Array)) {
    return { placed: pairs, experts: Math.min(pairs, slots) };
  }
  const from = firstPlace(op) + firstSlot;
  const here = op.places.subarray(firstPair, firstPair + pairs)
    .filter((place) => place >= from && place < from + slots);
  return { placed: here.length, experts: new Set(here).size };
}

function runPairs(run: Run, work: Work, chunk: Chunk, first: number): void {
  const { op, weights } = work, { pairs, firstPair } = chunk;
  const [fc1, fc2] = op.layout.projections,
    gating = gatingOf(op.activation),
    hidden = scratch(run, "hidden");
  if (chunk.tiles !== undefined) sortPairs(run, work, chunk);
  projectBoth(work, 0, slotSource(run, chunk.arena, weights[0], fc1!), (w) => {
    // Staged anew for every product: the second projection's input lies in the same scratch.
    const x = inputRows(run, w, work.x, w.staged ? first : 0, pairs / op.topK);
    const from = { xFrom: w.staged ? first : 0, xEach: op.topK };
    return { x, ...from, out: hidden, at: 0, from: firstPair, relu: op.activation === "relu" };
  }, (source, ends) => project(run, work, chunk, source, ends));
  const inner = gating === undefined ? hidden : gated(run, hidden, gating, work, pairs);
  // Rows of other arenas' pairs are staged too and not looked at.
  projectBoth(work, 1, slotSource(run, chunk.arena, weights[1], fc2!), (w) => {
    const x = inputRows(run, w, inner, 0, pairs);
    const to = { out: work.out, at: word(work.out), from: 0 };
    return { x, xFrom: firstPair, xEach: 1, ...to, relu: false };
  }, (source, ends) => project(run, work, chunk, source, ends));
}

/** Gates the hidden layers of all pairs; the results lie behind them. */
function gated(run: Run, hidden: Binding, gating: Gating, work: Work, pairs: number): Binding {
  const width = work.weights[1].layout.cols;
  const out = { ...hidden, base: hidden.base + pairs * 2 * width * 4 };
  gateRows(run, gating, { x: hidden, out, width, rows: pairs });
  return out;
}

/** Where there is a base, its product comes first and the experts' are added to it. */
function projectBoth(
  { bases }: Work,
  p: 0 | 1,
  own: Source,
  endsOf: (w: Source["w"]) => Omit<Ends, "sum">,
  run: (source: Source, ends: Ends) => void,
): void {
  const base = bases?.[p];
  if (base !== undefined) run(base, { ...endsOf(base.w), relu: false, sum: false });
  run(own, { ...endsOf(own.w), sum: base !== undefined });
}

function sortPairs(run: Run, work: Work, c: Chunk): void {
  run.gpu.dispatch({
    kernel: KERNELS.expertsSort,
    constants: SORT,
    bindings: [, , , work.places, , work.mask, scratch(run, "lists")],
    params: [
      c.firstPair,
      c.pairs,
      work.op.topK,
      word(work.places),
      firstPlace(work.op),
      c.firstSlot,
      c.arena.slots,
      maskWord(work.mask),
      listsOrder(run.sizes),
    ],
    groups: [1],
  });
}
