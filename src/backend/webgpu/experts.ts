/** The experts of a wave: each (row, rank) pair finds its expert's slot, alone or in tiles that share one. */
import { type ExpertsOp, PLACE_SLOTS, type PlacedExpertsOp } from "../contract.ts";
import { refuse } from "../shapes.ts";
import {
  type AnyExpertsOp,
  baseSource,
  type Chunk,
  type Ends,
  project,
  slotSource,
  type Source,
  type Work,
} from "./expert_product.ts";
import { type Constants, KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkRows,
  Indices,
  maskWord,
  range,
  type Run,
  scratch,
  tensor,
  word,
} from "./operands.ts";
import { inputRows } from "./product.ts";
import { listsOrder, MOST_SLOTS, PAIR_TILE } from "./scratch.ts";
import { weightsOf } from "./weights.ts";

const ACTION = "run experts";
/** From so many pairs an expert on, tiles of pairs are worth their sorting. */
const SHARED_PAIRS = 3;
/** From so many pairs on, where only the device knows their experts. */
const PLACED_PAIRS = 48;
const SORT: Constants = { TILE_M: PAIR_TILE, PLACED: 0 };
const SORT_PLACED: Constants = { TILE_M: PAIR_TILE, PLACED: 1 };

/** `Backend.experts`. */
export function experts(run: Run, op: ExpertsOp): void {
  const total = op.x.rows, table = placesOf(op);
  const up = new Indices(run, ACTION, [[table, table.length], [op.mask, total]]);
  const bound = operands(run, op, up);
  if (op.wave.length === 0) return;
  runAll(run, {
    ...bound,
    ids: range(run, op.experts, total * op.topK * 4, ACTION),
    placed: false,
    places: up.take(table, table.length),
    placeCount: table.length,
    experts: op.wave.length,
  });
}

/** `Backend.placedExperts`: the same for pairs whose places lie on the device. */
export function placedExperts(run: Run, op: PlacedExpertsOp): void {
  const total = op.x.rows;
  const bound = operands(run, op, new Indices(run, ACTION, [[op.mask, total]]));
  runAll(run, {
    ...bound,
    ids: range(run, op.places, total * op.topK * 4, ACTION),
    placed: true,
    places: undefined,
    placeCount: op.layoutIndex * PLACE_SLOTS,
    experts: Math.min(total * op.topK, op.arenas.reduce((n, a) => n + a.slots, 0)),
  });
}

function operands(
  run: Run,
  op: AnyExpertsOp,
  up: Indices,
): Pick<Work, "op" | "x" | "out" | "mask" | "weights" | "bases"> {
  const [fc1, fc2] = op.layout.projections, total = op.x.rows, width = op.x.cols;
  if (op.layout.projections.length !== 2 || fc1 === undefined || fc2 === undefined) {
    return refuse(ACTION, "an expert has two projections", String(op.layout.projections.length));
  }
  const hidden = fc1.layout.rows, { maxHidden } = run.shape;
  if (fc1.layout.cols !== width || fc2.layout.cols !== hidden || hidden > maxHidden) {
    refuse(
      ACTION,
      `fc1 reads ${width} and fc2 at most the ${maxHidden} prepared for`,
      `[${hidden}, ${fc1.layout.cols}] and [${fc2.layout.rows}, ${fc2.layout.cols}]`,
    );
  }
  for (const a of op.arenas) {
    // A block may take several adjacent slots.
    if (a.slotBytes * a.slots < op.layout.bytes || a.slotBytes % 16 !== 0) {
      refuse(ACTION, `slots hold a block of ${op.layout.bytes} bytes`, String(a.slotBytes));
    }
  }
  const x = tensor(run, op.x, total, width, ACTION, "x");
  const out = tensor(run, op.out, total * op.topK, fc2.layout.rows, ACTION, "out");
  checkRows(run, total, ACTION);
  return {
    op,
    x,
    out,
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

function runAll(run: Run, work: Work): void {
  const { op, x, out, ids, mask, weights, bases } = work, total = op.x.rows;
  checkApart(out, [x, ids, mask], ACTION);
  const staged = [...weights, ...(bases ?? []).map((b) => b.w)].some((w) => w.staged);
  const pairs = Math.min(run.sizes.pairs, staged ? run.sizes.stagedRows : Infinity);
  const rows = Math.floor(pairs / op.topK);
  for (let first = 0; first < total; first += rows) {
    runRows(run, work, first, Math.min(rows, total - first));
  }
}

/** Which slot, counted over all arenas, each expert of the wave lies in. */
function placesOf({ wave, arenas }: ExpertsOp): Int32Array {
  const firsts: number[] = [];
  let slots = 0;
  for (const a of arenas) {
    firsts.push(slots);
    slots += a.slots;
  }
  const table = new Int32Array(1 + wave.reduce((most, e) => Math.max(most, e.expert), 0)).fill(-1);
  for (const e of wave) {
    const arena = arenas[e.arena];
    if (arena === undefined || e.slot < 0 || e.slot >= arena.slots) {
      refuse(ACTION, "an expert lies in a slot of an arena", JSON.stringify(e));
    }
    table[e.expert] = firsts[e.arena]! + e.slot;
  }
  return table;
}

/** Both projections of rows first .. first + rows - 1, arena by arena. */
function runRows(run: Run, work: Work, first: number, rows: number): void {
  const { op, weights } = work, pairs = rows * op.topK, firstPair = first * op.topK;
  const many = work.placed ? pairs >= PLACED_PAIRS : pairs >= SHARED_PAIRS * work.experts;
  const sorted = many && op.arenas.every((a) => a.slots <= MOST_SLOTS);
  const hidden = scratch(run, "hidden");
  let firstSlot = 0;
  for (const arena of op.arenas) {
    const chunk = { arena, firstSlot, firstPair, pairs, sorted };
    if (sorted) sortPairs(run, work, chunk);
    projectBoth(work, 0, slotSource(run, arena, weights[0], op.layout.projections[0]!), (w) => {
      // Staged anew for every product: the second projection's input lies in the same scratch.
      const x = w.staged
        ? inputRows(run, w, work.x, first, rows)
        : { binding: work.x, at: work.x.base / 16 };
      const from = { xFrom: w.staged ? first : 0, xEach: op.topK };
      return { x, ...from, out: hidden, at: 0, from: firstPair, relu: op.activation === "relu" };
    }, (source, ends) => project(run, work, chunk, source, ends));
    // Rows of other arenas' pairs are staged too and not looked at.
    projectBoth(work, 1, slotSource(run, arena, weights[1], op.layout.projections[1]!), (w) => {
      const x = inputRows(run, w, hidden, 0, pairs);
      const to = { out: work.out, at: word(work.out), from: 0 };
      return { x, xFrom: firstPair, xEach: 1, ...to, relu: false };
    }, (source, ends) => project(run, work, chunk, source, ends));
    firstSlot += arena.slots;
  }
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
    constants: work.placed ? SORT_PLACED : SORT,
    bindings: [, , , work.ids, work.places, work.mask, scratch(run, "lists")],
    params: [
      c.firstPair,
      c.pairs,
      work.op.topK,
      word(work.ids),
      word(work.places),
      work.placeCount,
      c.firstSlot,
      c.arena.slots,
      maskWord(work.mask),
      listsOrder(run.sizes),
    ],
    groups: [1],
  });
}
