/** The experts of a call: each gathers the rows routed to it and runs its two projections from its slot. */
import type { ProjectionOffsets } from "../../base/layout.ts";
import {
  type DeviceRange,
  type ExpertsOp,
  PLACE_SLOTS,
  type PlacedExpertsOp,
} from "../contract.ts";
import { type Device, liveRows, type Rows } from "./device.ts";
import { rangeAt, refuse, tensorAt } from "./guards.ts";
import { multiply, stageRows } from "./product.ts";
import { ROW_CHUNK } from "./scratch.ts";
import { type Weights, weightsOf } from "./weights.ts";

const ACTION = "run experts";

/** What `experts` and `placedExperts` have in common. */
type AnyExpertsOp = Omit<PlacedExpertsOp, "places" | "layoutIndex">;

/** `Backend.experts`: one gather and two products an expert that has rows. */
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
  choice.blocks.forEach((block, e) => {
    const from = byExpert[e]!, count = byExpert[e + 1]! - from;
    if (count > 0) runExpert(d, op, block, { x, out, from, count });
  });
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

interface Work {
  x: number;
  out: number;
  from: number;
  count: number;
}

function runExpert(d: Device, op: AnyExpertsOp, block: number, work: Work): void {
  const { at } = d.scratch;
  const fc1 = op.layout.projections[0]!, fc2 = op.layout.projections[1]!;
  const w1 = projection(d, op, fc1, block), w2 = projection(d, op, fc2, block);
  const relu = op.activation === "relu";
  const bias = (p: ProjectionOffsets) => p.biasOffset < 0 ? 0 : block + p.biasOffset;
  const inside = { bias: bias(fc1), relu, residual: 0, out: at.hidden, stride: w1.n };
  const outside = { bias: bias(fc2), relu: false, residual: 0, out: work.out, stride: w2.n };
  const inRows = { pointer: at.expertIn, count: work.from + work.count, all: false };
  const hiddenRows = { pointer: at.identity, count: ROW_CHUNK, all: true };
  const end = work.from + work.count;
  for (let from = work.from; from < end; from += ROW_CHUNK) {
    const count = Math.min(ROW_CHUNK, end - from);
    multiply(d, w1, stageRows(d, w1, work.x, inRows, from, count), at.identity, inside);
    const staged = stageRows(d, w2, at.hidden, hiddenRows, 0, count);
    multiply(d, w2, staged, at.expertOut + from * 4, outside);
  }
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
