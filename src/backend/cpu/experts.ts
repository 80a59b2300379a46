/** The experts of a call: the rows routed to each are gathered and run through its two projections from its slot. */
import type { ProjectionOffsets } from "../../base/layout.ts";
import { type ExpertsOp, type Gating, PLACE_SLOTS } from "../contract.ts";
import { checkTopK, gatingOf } from "../shapes.ts";
import { type Device, hostIndices, liveRows, type Rows } from "./device.ts";
import { gateRows } from "./gate.ts";
import { rangeAt, refuse, tensorAt } from "./guards.ts";
import { matrixWeights } from "./linear.ts";
import { multiply, stageRows } from "./product.ts";
import { ROW_CHUNK } from "./scratch.ts";
import { type Weights, weightsOf } from "./weights.ts";

const ACTION = "run experts";

/** `Backend.experts`: two products an expert that has rows, and two a base. */
export function experts(d: Device, op: ExpertsOp): void {
  const total = op.x.rows, { topK } = op;
  checkTopK(topK, ACTION, d.scratch.shape.topK);
  const widths = widthsOf(d, op);
  const x = tensorAt(op.x, total, op.x.cols, ACTION, "x");
  const out = tensorAt(op.out, total * topK, widths.out, ACTION, "out");
  const places = hostIndices(d, op.places, total * topK, ACTION);
  const rows = liveRows(d, total, op.mask, ACTION);
  const choice = choiceOf(op);
  const byExpert = sortPairs(d, topK, rows, places, choice);
  for (const chunk of chunksOf(op, choice, byExpert)) runChunk(d, op, { chunk, widths, x, out });
}

/** Of an expert: what fc2 reads and gives, and how the hidden layer of twice the width becomes that, where it is gated. */
interface ExpertWidths {
  readonly inner: number;
  readonly out: number;
  readonly gating: Gating | undefined;
}

function widthsOf(d: Device, { x, layout, activation }: ExpertsOp): ExpertWidths {
  const [fc1, fc2] = layout.projections,
    gating = gatingOf(activation),
    { maxHidden } = d.scratch.shape;
  if (layout.projections.length !== 2 || fc1 === undefined || fc2 === undefined) {
    refuse(ACTION, "an expert has two projections", String(layout.projections.length));
  }
  const hidden = fc1.layout.rows, inner = fc2.layout.cols;
  const fits = hidden === (gating === undefined ? inner : 2 * inner);
  if (fc1.layout.cols !== x.cols || !fits || hidden > maxHidden) {
    const read = gating === undefined ? "fc2 reads" : "fc2 reads half of";
    refuse(
      ACTION,
      `fc1 reads ${x.cols} and ${read} what it gives, at most the ${maxHidden} prepared for`,
      `[${hidden}, ${fc1.layout.cols}] and [${fc2.layout.rows}, ${inner}]`,
    );
  }
  return { inner, out: fc2.layout.rows, gating };
}

/** Which experts run: the address of each one's block, and which of them a (row, rank) has; -1 for none. */
interface Choice {
  readonly blocks: readonly number[];
  of(place: number): number;
}

/** The experts of the places of this layout, in the order in which they are met. */
function choiceOf(op: ExpertsOp): Choice {
  const known = new Map<number, number>(), blocks: number[] = [];
  const perArena = op.arenas[0]?.slots ?? 0, base = op.layoutIndex * PLACE_SLOTS;
  const of = (place: number): number => {
    const slot = place - base;
    if (slot < 0 || slot >= PLACE_SLOTS) return -1;
    let index = known.get(slot);
    if (index === undefined) {
      known.set(slot, index = blocks.length);
      blocks.push(blockAt(op, { arena: Math.floor(slot / perArena), slot: slot % perArena }));
    }
    return index;
  };
  return { blocks, of };
}

/**
 * Sorts the (row, rank) pairs by expert: rows to scratch expertIn, row * topK + rank to expertOut. Expert e of
 * `choice` has pairs result[e] .. result[e + 1] - 1.
 */
function sortPairs(
  d: Device,
  topK: number,
  rows: Rows,
  places: Int32Array,
  choice: Choice,
): number[] {
  const { at } = d.scratch, i32 = d.heap.i32;
  const first = rows.pointer / 4;
  const counts: number[] = [];
  for (let m = 0; m < rows.count; m++) {
    const t = i32[first + m]!;
    for (let pair = t * topK; pair < (t + 1) * topK; pair++) {
      const e = choice.of(places[pair]!);
      if (e >= 0) counts[e] = (counts[e] ?? 0) + 1;
    }
  }
  const next: number[] = [0];
  for (let e = 0; e < choice.blocks.length; e++) next.push(next[e]! + (counts[e] ?? 0));
  const starts = [...next];
  for (let m = 0; m < rows.count; m++) {
    const t = i32[first + m]!;
    for (let pair = t * topK; pair < (t + 1) * topK; pair++) {
      const e = choice.of(places[pair]!);
      if (e < 0) continue;
      const to = next[e]!++;
      i32[at.expertIn / 4 + to] = t;
      i32[at.expertOut / 4 + to] = pair;
    }
  }
  return starts;
}

/** Sorted pairs that run at once, at most ROW_CHUNK of them: from .. from + count - 1. */
interface Chunk {
  from: number;
  count: number;
  /** What of them is each expert's: counted as the chunk, with the address of its block. */
  parts: { block: number; from: number; count: number }[];
}

/** Chunks of one expert each, or with a base, whose product all its experts share, of as many as there are. */
function* chunksOf(
  { base }: ExpertsOp,
  { blocks }: Choice,
  byExpert: readonly number[],
): Generator<Chunk> {
  const total = byExpert[blocks.length]!;
  for (let from = 0, e = 0; from < total;) {
    while (byExpert[e + 1]! <= from) e++;
    const end = Math.min(from + ROW_CHUNK, base === undefined ? byExpert[e + 1]! : total);
    const chunk: Chunk = { from, count: end - from, parts: [] };
    for (let own = e; from < end; own++) {
      const count = Math.min(end, byExpert[own + 1]!) - from;
      if (count > 0) chunk.parts.push({ block: blocks[own]!, from, count });
      from += count;
    }
    yield chunk;
  }
}

/** Both projections of a chunk. x and out: addresses of [T, d_model] and [T * topK, d_model]. */
function runChunk(
  d: Device,
  op: ExpertsOp,
  { chunk, widths, x, out }: { chunk: Chunk; widths: ExpertWidths; x: number; out: number },
): void {
  const { at } = d.scratch, { from, count } = chunk, { inner, gating } = widths;
  const gathered = { pointer: at.expertIn, count: from + count, all: false };
  const hiddenRows = { pointer: at.identity, count, all: true };
  const relu = op.activation === "relu";
  const inside = { x, rows: gathered, first: from, outRows: at.identity, out: at.hidden };
  project(d, op, chunk, 0, { ...inside, relu });
  if (gating !== undefined) {
    gateRows(d, gating, hiddenRows, { x: at.hidden, width: inner, out: at.hidden });
  }
  const outRows = at.expertOut + from * 4;
  project(d, op, chunk, 1, { x: at.hidden, rows: hiddenRows, first: 0, outRows, out, relu: false });
}

/** Where the chunk's first pair lies among the rows of x, and the row of `out` that each pair gives. */
interface Ends {
  x: number;
  rows: Rows;
  first: number;
  outRows: number;
  out: number;
  relu: boolean;
}

/** One projection of a chunk. Where there is a base, its product comes first and each expert's is added to it. */
function project(d: Device, op: ExpertsOp, chunk: Chunk, p: 0 | 1, ends: Ends): void {
  const { x, rows, first, outRows, out, relu } = ends, offsets = op.layout.projections[p]!;
  const target = { bias: 0, relu: false, residual: 0, out, stride: offsets.layout.rows };
  // Levels of a codebook lie in one place for all: each matrix is read when its product is due.
  const base = baseOf(d, op, p);
  if (base !== undefined) {
    multiply(d, base, stageRows(d, base, x, rows, first, chunk.count), outRows, target);
  }
  for (const part of chunk.parts) {
    const w = projection(d, op, offsets, part.block), skip = part.from - chunk.from;
    multiply(d, w, stageRows(d, w, x, rows, first + skip, part.count), outRows + skip * 4, {
      ...target,
      bias: offsets.biasOffset < 0 ? 0 : part.block + offsets.biasOffset,
      relu: relu && (base === undefined || "last"),
      residual: base === undefined ? 0 : out,
    });
  }
}

function baseOf(d: Device, { base, layout }: ExpertsOp, p: 0 | 1): Weights | undefined {
  if (base === undefined) return undefined;
  const { rows, cols } = layout.projections[p]!.layout, name = `the base's fc${p + 1}`;
  const w = matrixWeights(d, p === 0 ? base.fc1 : base.fc2, cols, ACTION, name);
  return w.n === rows ? w : refuse(ACTION, `${name} has ${rows} rows`, String(w.n));
}

function blockAt(op: ExpertsOp, expert: { arena: number; slot: number }): number {
  const arena = op.arenas[expert.arena];
  if (arena === undefined || expert.slot < 0 || expert.slot >= arena.slots) {
    return refuse(ACTION, "an expert lies in a slot of an arena", JSON.stringify(expert));
  }
  return rangeAt(arena.buffer, expert.slot * arena.slotBytes, op.layout.bytes, ACTION);
}

function projection(d: Device, op: ExpertsOp, p: ProjectionOffsets, block: number): Weights {
  return weightsOf(
    d,
    op.layout.format,
    p.layout,
    block + p.codesOffset,
    block + p.scalesOffset,
  );
}
