/** The experts of a wave: each (row, rank) pair finds its expert's slot, alone or in tiles that share one. */
import type { ProjectionOffsets } from "../../base/layout.ts";
import { type Arena, type ExpertsOp, PLACE_SLOTS, type PlacedExpertsOp } from "../contract.ts";
import { refuse } from "../shapes.ts";
import { bind, type Binding } from "./buffers.ts";
import { type Constants, KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkRows,
  Indices,
  maskWord,
  NONE,
  range,
  type Run,
  scratch,
  tensor,
  word,
} from "./operands.ts";
import { gemvRowsOf, inputRows, type Rows } from "./product.ts";
import { MOST_SLOTS, PAIR_TILE } from "./scratch.ts";
import { tileSize } from "./tiles.ts";
import { type Weights, weightsOf } from "./weights.ts";

const ACTION = "run experts";
/** From so many pairs an expert on, tiles of pairs are worth their sorting. */
const SHARED_PAIRS = 3;
/** From so many pairs on, where only the device knows their experts. */
const PLACED_PAIRS = 48;
const SORT: Constants = { TILE_M: PAIR_TILE, PLACED: 0 };
const SORT_PLACED: Constants = { TILE_M: PAIR_TILE, PLACED: 1 };

/** What `experts` and `placedExperts` have in common. */
type AnyExpertsOp = Omit<PlacedExpertsOp, "places" | "layoutIndex">;

/** An operation's operands, bound. */
interface Work {
  op: AnyExpertsOp;
  x: Binding;
  out: Binding;
  mask: Binding | undefined;
  /** By (row, rank): the expert, or where `placed` its place. */
  ids: Binding;
  placed: boolean;
  /** Slot over all arenas by expert, -1 for none; undefined where placed. */
  places: Binding | undefined;
  /** Experts in `places`; where placed, the first place of this layout. */
  placeCount: number;
  /** Experts that pairs can have, as far as the host knows. */
  experts: number;
  w1: Weights;
  w2: Weights;
}

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
): Pick<Work, "op" | "x" | "out" | "mask" | "w1" | "w2"> {
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
    w1: weightsOf(op.layout.format, fc1.layout, run.tiles),
    w2: weightsOf(op.layout.format, fc2.layout, run.tiles),
  };
}

function runAll(run: Run, work: Work): void {
  const { op, x, out, ids, mask, w1, w2 } = work, total = op.x.rows;
  checkApart(out, [x, ids, mask], ACTION);
  const staged = w1.staged || w2.staged;
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
  const { op, w1, w2 } = work, pairs = rows * op.topK, firstPair = first * op.topK;
  const many = work.placed ? pairs >= PLACED_PAIRS : pairs >= SHARED_PAIRS * work.experts;
  const sorted = many && op.arenas.every((a) => a.slots <= MOST_SLOTS);
  const hidden = scratch(run, "hidden");
  let firstSlot = 0;
  for (const arena of op.arenas) {
    const chunk = { arena, firstSlot, firstPair, pairs, sorted };
    if (sorted) sortPairs(run, work, chunk);
    // Staged anew for every arena: the second projection's input lies in the same scratch.
    const input = w1.staged
      ? { ...inputRows(run, w1, work.x, first, rows), from: first }
      : { binding: work.x, at: work.x.base / 16, from: 0 };
    const inside = { out: hidden, at: 0, from: firstPair, relu: op.activation === "relu" };
    project(run, work, chunk, w1, op.layout.projections[0]!, {
      ...inside,
      x: input,
      xFrom: input.from,
      xEach: op.topK,
    });
    // Rows of other arenas' pairs are staged too and not looked at.
    const second: Rows = inputRows(run, w2, hidden, 0, pairs);
    const outside = { out: work.out, at: word(work.out), from: 0, relu: false };
    project(run, work, chunk, w2, op.layout.projections[1]!, {
      ...outside,
      x: second,
      xFrom: firstPair,
      xEach: 1,
    });
    firstSlot += arena.slots;
  }
}

interface Chunk {
  arena: Arena;
  firstSlot: number;
  firstPair: number;
  pairs: number;
  sorted: boolean;
}

function listsOrder(run: Run): number {
  return 4 + 4 * run.sizes.pairs;
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
      listsOrder(run),
    ],
    groups: [1],
  });
}

interface Ends {
  x: Rows;
  /** Row or pair that lies first in x, and pairs a row of x. */
  xFrom: number;
  xEach: number;
  out: Binding;
  at: number;
  /** Pair that lies first in out. */
  from: number;
  relu: boolean;
}

function project(
  run: Run,
  work: Work,
  c: Chunk,
  w: Weights,
  p: ProjectionOffsets,
  ends: Ends,
): void {
  const { arena } = c, n = w.layout.rows;
  const block = bind(run.gpu.limits, arena.buffer, 0, arena.slots * arena.slotBytes, ACTION);
  const matrix = [n, w.kq, w.units, p.codesOffset / 16, p.scalesOffset / 2, w.layout.groups];
  const bias = p.biasOffset < 0 ? NONE : p.biasOffset / 4, relu = ends.relu ? 1 : 0;
  const slotUnits = arena.slotBytes / 16, products = c.pairs * n * w.layout.cols;
  if (c.sorted) {
    const lists = scratch(run, "lists");
    run.gpu.dispatch({
      kernel: KERNELS.expertsGemm,
      constants: w.gemm.experts,
      bindings: [ends.x.binding, block, block, lists, , , ends.out],
      params: [
        ...matrix,
        bias,
        relu,
        ends.x.at,
        ends.xFrom,
        ends.xEach,
        ends.at,
        ends.from,
        slotUnits,
        listsOrder(run),
      ],
      // Every expert fills tiles but for its last.
      groups: [
        Math.ceil(n / tileSize(w.tiles.experts).n),
        Math.min(c.pairs, Math.floor(c.pairs / PAIR_TILE) + work.experts),
      ],
      products,
    });
    return;
  }
  run.gpu.dispatch({
    kernel: KERNELS.expertsGemv,
    constants: work.placed ? w.placed : w.gemv,
    bindings: [ends.x.binding, block, block, work.ids, work.places, work.mask, ends.out],
    params: [
      ...matrix,
      bias,
      relu,
      c.firstPair,
      work.op.topK,
      ends.x.at,
      ends.xFrom,
      ends.xEach,
      ends.at,
      ends.from,
      word(work.ids),
      word(work.places),
      work.placeCount,
      c.firstSlot,
      arena.slots,
      slotUnits,
      maskWord(work.mask),
    ],
    groups: [Math.ceil(n / gemvRowsOf(w)), c.pairs],
    products,
  });
}
