/** The experts of a call: the rows routed to each are gathered and run through its two projections from its slot. */
import type { ProjectionOffsets } from "../../base/layout.ts";
import {
  type DeviceRange,
  type ExpertsOp,
  PLACE_SLOTS,
  type PlacedExpertsOp,
} from "../contract.ts";
import { type Device, liveRows, type Rows } from "./device.ts";
import { rangeAt, refuse, tensorAt } from "./guards.ts";
import { matrixWeights } from "./linear.ts";
import { multiply, stageRows } from "./product.ts";
import { ROW_CHUNK } from "./scratch.ts";
import { type Weights, weightsOf } from "./weights.ts";

const ACTION = "run experts";

/** What `experts` and `placedExperts` have in common. */
type AnyExpertsOp = Omit<PlacedExpertsOp, "places" | "layoutIndex">;

/** `Backend.experts`: two products an expert that has rows, and two a base. */
export function experts(d: Device, op: ExpertsOp): void {
  const places = new Map<number, number>();
  op.wave.forEach((e, i) => places.set(e.expert, i));
  const blocks = op.wave.map((e) => blockAt(op, e));
  run(d, op, op.experts, { blocks, of: (expert) => places.get(expert) ?? -1 });
}

/** `Backend.placedExperts`: the same for the places that rows of this layout have. */
export function placedExperts(d: Device, op: PlacedExpertsOp): void {
  const known = new Map<number, number>(), blocks: number[] = [];
  const perArena = op.arenas[0]?.slots ?? 0, base = op.layoutIndex * PLACE_SLOTS;
  const of = (place: number): number => {
    const slot = place - base;
    if (slot < 0 || slot >= PLACE_SLOTS) return -1;
    let index = known.get(slot);
    if (index === undefined) {
      known.set(slot, index = blocks.length);
      const at = { arena: Math.floor(slot / perArena), slot: slot % perArena };
      blocks.push(blockAt(op, at));
    }
    return index;
  };
  run(d, op, op.places, { blocks, of });
}

/** Which experts run: the address of each one's block, and which of them a (row, rank) has; -1 for none. */
interface Choice {
  readonly blocks: readonly number[];
  of(chosen: number): number;
}

function run(d: Device, op: AnyExpertsOp, chosen: DeviceRange, choice: Choice): void {
  const total = op.x.rows, width = op.x.cols;
  const [fc1, fc2] = op.layout.projections;
  if (op.layout.projections.length !== 2 || fc1 === undefined || fc2 === undefined) {
    refuse(ACTION, "an expert has two projections", String(op.layout.projections.length));
  }
  const hidden = fc1.layout.rows;
  if (
    fc1.layout.cols !== width || fc2.layout.cols !== hidden || hidden > d.scratch.shape.maxHidden
  ) {
    refuse(
      ACTION,
      `fc1 reads ${width} and fc2 at most the ${d.scratch.shape.maxHidden} prepared for`,
      `[${hidden}, ${fc1.layout.cols}] and [${fc2.layout.rows}, ${fc2.layout.cols}]`,
    );
  }
  const x = tensorAt(op.x, total, width, ACTION, "x");
  const out = tensorAt(op.out, total * op.topK, fc2.layout.rows, ACTION, "out");
  const table = rangeAt(chosen.buffer, chosen.offset, total * op.topK * 4, ACTION);
  const rows = liveRows(d, total, op.mask, ACTION);
  const byExpert = sortPairs(d, op.topK, rows, table, choice);
  for (const chunk of chunksOf(op, choice, byExpert)) runChunk(d, op, chunk, x, out);
}

/**
 * Sorts the (row, rank) pairs by expert: rows to scratch expertIn, row * topK + rank to expertOut. Expert e of
 * `choice` has pairs result[e] .. result[e + 1] - 1.
 */
function sortPairs(
  d: Device,
  topK: number,
  rows: Rows,
  chosen: number,
  choice: Choice,
): number[] {
  const { at } = d.scratch, i32 = d.heap.i32;
  const first = rows.pointer / 4, table = chosen / 4;
  const counts: number[] = [];
  for (let m = 0; m < rows.count; m++) {
    const t = i32[first + m]!;
    for (let pair = t * topK; pair < (t + 1) * topK; pair++) {
      const e = choice.of(i32[table + pair]!);
      if (e >= 0) counts[e] = (counts[e] ?? 0) + 1;
    }
  }
  const next: number[] = [0];
  for (let e = 0; e < choice.blocks.length; e++) next.push(next[e]! + (counts[e] ?? 0));
  const starts = [...next];
  for (let m = 0; m < rows.count; m++) {
    const t = i32[first + m]!;
    for (let pair = t * topK; pair < (t + 1) * topK; pair++) {
      const e = choice.of(i32[table + pair]!);
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
  { base }: AnyExpertsOp,
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
function runChunk(d: Device, op: AnyExpertsOp, chunk: Chunk, x: number, out: number): void {
  const { at } = d.scratch, { from, count } = chunk;
  const gathered = { pointer: at.expertIn, count: from + count, all: false };
  const hiddenRows = { pointer: at.identity, count: ROW_CHUNK, all: true };
  const relu = op.activation === "relu";
  const inside = { x, rows: gathered, first: from, outRows: at.identity, out: at.hidden };
  project(d, op, chunk, 0, { ...inside, relu });
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
function project(d: Device, op: AnyExpertsOp, chunk: Chunk, p: 0 | 1, ends: Ends): void {
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

function baseOf(d: Device, { base, layout }: AnyExpertsOp, p: 0 | 1): Weights | undefined {
  if (base === undefined) return undefined;
  const { rows, cols } = layout.projections[p]!.layout, name = `the base's fc${p + 1}`;
  const w = matrixWeights(d, p === 0 ? base.fc1 : base.fc2, cols, ACTION, name);
  return w.n === rows ? w : refuse(ACTION, `${name} has ${rows} rows`, String(w.n));
}

function blockAt(op: AnyExpertsOp, expert: { arena: number; slot: number }): number {
  const arena = op.arenas[expert.arena];
  if (arena === undefined || expert.slot < 0 || expert.slot >= arena.slots) {
    return refuse(ACTION, "an expert lies in a slot of an arena", JSON.stringify(expert));
  }
  return rangeAt(arena.buffer, expert.slot * arena.slotBytes, op.layout.bytes, ACTION);
}

function projection(d: Device, op: AnyExpertsOp, p: ProjectionOffsets, block: number): Weights {
  return weightsOf(
    d,
    op.layout.format,
    p.layout,
    block + p.codesOffset,
    block + p.scalesOffset,
  );
}
