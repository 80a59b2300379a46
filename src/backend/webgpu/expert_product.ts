/** One projection of the experts of some pairs, from the slots that they lie in or from the base that they share. */
import type { MatrixLayout, ProjectionOffsets } from "../../base/layout.ts";
import type { Arena, Matrix, PlacedExpertsOp } from "../contract.ts";
import { refuse } from "../shapes.ts";
import { bind, type Binding } from "./buffers.ts";
import { KERNELS } from "./kernels.ts";
import { maskWord, NONE, type Run, scratch, word } from "./operands.ts";
import { gemvRowsOf, type Rows } from "./product.ts";
import { listsOrder, PAIR_TILE } from "./scratch.ts";
import { tileSize } from "./tiles.ts";
import { matrixWeights, partsOf, type Weights } from "./weights.ts";

const ACTION = "run experts";

/** What `experts` and `placedExperts` have in common. */
export type AnyExpertsOp = Omit<PlacedExpertsOp, "places" | "layoutIndex">;

/** An operation's operands, bound. */
export interface Work {
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
  sorted: boolean;
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
  if (c.sorted) {
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
    bindings: [ends.x.binding, codes, words, work.ids, work.places, work.mask, ends.out],
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
      word(work.ids),
      word(work.places),
      work.placeCount,
      c.firstSlot,
      c.arena.slots,
      source.slotUnits,
      maskWord(work.mask),
    ],
    groups: [Math.ceil(n / gemvRowsOf(w)), c.pairs],
    products,
  });
}
