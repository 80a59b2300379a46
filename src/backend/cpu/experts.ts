/** The experts of a wave: each gathers the rows routed to it and runs its two projections from its slot. */
import type { ProjectionOffsets } from "../../base/layout.ts";
import type { ExpertsOp, ResidentExpert } from "../contract.ts";
import { type Device, liveRows, type Rows } from "./device.ts";
import { rangeAt, refuse, tensorAt } from "./guards.ts";
import { multiply, stageRows } from "./product.ts";
import { ROW_CHUNK } from "./scratch.ts";
import { type Weights, weightsOf } from "./weights.ts";

const ACTION = "run experts";

/** `Backend.experts`: one gather and two products an expert that has rows. */
export function experts(d: Device, op: ExpertsOp): void {
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
  const chosen = rangeAt(op.experts, 0, total * op.topK * 4, ACTION);
  const rows = liveRows(d, total, op.mask, ACTION);
  const byExpert = sortPairs(d, op, rows, chosen);
  for (let e = 0; e < op.wave.length; e++) {
    const from = byExpert[e]!, count = byExpert[e + 1]! - from;
    if (count > 0) runExpert(d, op, op.wave[e]!, { x, out, from, count });
  }
}

/**
 * Sorts the (row, rank) pairs of the wave by expert: rows to scratch expertIn, row * topK + rank to expertOut.
 * Wave member e has pairs result[e] .. result[e + 1] - 1.
 */
function sortPairs(d: Device, op: ExpertsOp, rows: Rows, chosen: number): Int32Array {
  const { at } = d.scratch, i32 = d.heap.i32, { topK, wave } = op;
  const place = new Map<number, number>();
  for (let e = 0; e < wave.length; e++) place.set(wave[e]!.expert, e);
  const starts = new Int32Array(wave.length + 2);
  const first = rows.pointer / 4, table = chosen / 4;
  for (let m = 0; m < rows.count; m++) {
    const t = i32[first + m]!;
    for (let pair = t * topK; pair < (t + 1) * topK; pair++) {
      const e = place.get(i32[table + pair]!);
      if (e !== undefined) starts[e + 2]!++;
    }
  }
  for (let e = 2; e < starts.length; e++) starts[e]! += starts[e - 1]!;
  for (let m = 0; m < rows.count; m++) {
    const t = i32[first + m]!;
    for (let pair = t * topK; pair < (t + 1) * topK; pair++) {
      const e = place.get(i32[table + pair]!);
      if (e === undefined) continue;
      const to = starts[e + 1]!++;
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

function runExpert(d: Device, op: ExpertsOp, expert: ResidentExpert, work: Work): void {
  const { at } = d.scratch, block = blockAt(op, expert);
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

function blockAt(op: ExpertsOp, expert: ResidentExpert): number {
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
