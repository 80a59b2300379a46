/** One projection of the experts of some pairs, from the slots that they lie in or from the base that they share. */
import type { MatrixLayout, ProjectionOffsets } from "../../base/layout.ts";
import { type Arena, type ExpertsOp, type Matrix, PLACE_SLOTS } from "../contract.ts";
import { refuse } from "../shapes.ts";
import { bind, type Binding } from "./buffers.ts";
import { KERNELS } from "./kernels.ts";
import { maskWord, NONE, type Run, scratch, word } from "./operands.ts";
import { gemvRowsOf, type Rows } from "./product.ts";
import { listsOrder } from "./scratch.ts";
import { tileSize } from "./tiles.ts";
import { matrixWeights, partsOf, type Weights } from "./weights.ts";

const ACTION = "run experts";

/** An operation's operands, bound. */
export interface Work {
  op: ExpertsOp;
  x: Binding;
  out: Binding;
  mask: Binding | undefined;
  /** By (row, rank). */
  places: Binding;
  /** Of both projections. */
  weights: readonly [Weights, Weights];
  bases: readonly [Source, Source] | undefined;
}

/** Pairs that run at once, and the arena that their experts are looked for in. */
export interface Chunk {
  arena: Arena;
  firstSlot: number;
  firstPair: number;
  pairs: number;
  /** Tiles that pairs which share an expert can need at the most; undefined where every pair runs alone. */
  tiles: number | undefined;
}

/** The first place of the operation's layout. */
export function firstPlace({ layoutIndex }: ExpertsOp): number {
  return layoutIndex * PLACE_SLOTS;
}

/** Where a projection's matrices lie: in every slot alike, or once for all of them. */
export interface Source {
  readonly w: Weights;
  readonly codes: Binding;
  readonly words: Binding;
  /** From a slot's start: the first vec4<u32> of the codes, the first half of the scales. */
  readonly codesAt: number;
  readonly scalesAt: number;
  /** The first word of the bias, or NONE. */
  readonly biasAt: number;
  /** vec4<u32> from one slot to the next; 0 where one matrix is everybody's. */
  readonly slotUnits: number;
}

/** The slots of an arena. */
export function slotSource(run: Run, arena: Arena, w: Weights, p: ProjectionOffsets): Source {
  const block = bind(run.gpu.limits, arena.buffer, 0, arena.slots * arena.slotBytes, ACTION);
  return {
    w,
    codes: block,
    words: block,
    codesAt: p.codesOffset / 16,
    scalesAt: p.scalesOffset / 2,
    biasAt: p.biasOffset < 0 ? NONE : p.biasOffset / 4,
    slotUnits: arena.slotBytes / 16,
  };
}

/** A base's matrix, which must be shaped as the experts' own. */
export function baseSource(
  run: Run,
  matrix: Matrix,
  { rows, cols }: MatrixLayout,
  name: string,
): Source {
  const w = matrixWeights(run, matrix, cols, ACTION, name),
    [part, more] = partsOf(run, matrix, ACTION);
  if (w.layout.rows !== rows) refuse(ACTION, `${name} has ${rows} rows`, `${w.layout.rows}`);
  if (part === undefined || more !== undefined) {
    return refuse(ACTION, `${name} lies in one binding`, `${matrix.buffer.bytes} bytes`);
  }
  return {
    w,
    codes: part.codes,
    words: part.words ?? part.codes,
    codesAt: part.codes.base / 16,
    scalesAt: part.words === undefined ? 0 : part.words.base / 2,
    biasAt: NONE,
    slotUnits: 0,
  };
}

/** What goes into a projection and where its results go. */
export interface Ends {
  x: Rows;
  /** Row or pair that lies first in x, and pairs a row of x. */
  xFrom: number;
  xEach: number;
  out: Binding;
  at: number;
  /** Pair that lies first in out. */
  from: number;
  relu: boolean;
  /** What is in out becomes part of the sum. */
  sum: boolean;
}

/** Runs one projection of the pairs whose experts lie in the chunk's arena. */
export function project(run: Run, work: Work, c: Chunk, source: Source, ends: Ends): void {
  const { w, codes, words } = source, n = w.layout.rows;
  const matrix = [n, w.kq, w.units, source.codesAt, source.scalesAt, w.layout.groups];
  const flags = (ends.relu ? 1 : 0) | (ends.sum ? 2 : 0), end = [source.biasAt, flags];
  const products = c.pairs * n * w.layout.cols;
  if (c.tiles !== undefined) {
    run.gpu.dispatch({
      kernel: KERNELS.expertsGemm,
      constants: w.gemm.experts,
      bindings: [ends.x.binding, codes, words, scratch(run, "lists"), , , ends.out],
      params: [
        ...matrix,
        ...end,
        ends.x.at,
        ends.xFrom,
        ends.xEach,
        ends.at,
        ends.from,
        source.slotUnits,
        listsOrder(run.sizes),
      ],
      groups: [Math.ceil(n / tileSize(w.tiles.experts).n), c.tiles],
      products,
    });
    return;
  }
  run.gpu.dispatch({
    kernel: KERNELS.expertsGemv,
    constants: w.gemv,
    bindings: [ends.x.binding, codes, words, work.places, , work.mask, ends.out],
    params: [
      ...matrix,
      ...end,
      c.firstPair,
      work.op.topK,
      ends.x.at,
      ends.xFrom,
      ends.xEach,
      ends.at,
      ends.from,
      word(work.places),
      firstPlace(work.op),
      c.firstSlot,
      c.arena.slots,
      source.slotUnits,
      maskWord(work.mask),
    ],
    groups: [Math.ceil(n / gemvRowsOf(w)), c.pairs],
    products,
  });
}
