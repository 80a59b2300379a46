/** Attention over segments and over paged keys and values. */
import {
  type DistanceBias,
  type KvBits,
  PAGE_TOKENS,
  type PagedAttentionOp,
  type Scores,
  type SegmentAttentionOp,
} from "../contract.ts";
import { checkMatrix, checkWindow, headsAKey, headWidth, refuse } from "../shapes.ts";
import { bind, type Binding } from "./buffers.ts";
import { floatBits } from "./gpu.ts";
import { KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkIndices,
  checkRows,
  Indices,
  maskWord,
  NONE,
  range,
  type Run,
  scratch,
  tensor,
  vector,
  word,
} from "./operands.ts";
import { checkPages, firstKey, kvBinding, usedPages } from "./pages.ts";

/** Channels of a head, as kernels/wgsl/attention.wgsl holds them. */
const MOST_HEAD = 256;
/** How keys and values lie: segments, pages of f32, pages of f16. */
const LIES = [{ PAGED: 0, HALVES: 0 }, { PAGED: 1, HALVES: 0 }, { PAGED: 1, HALVES: 1 }];
/** By how keys lie, bias and sinks (bits 0 and 1), and channels a thread. */
const CONSTANTS = LIES.map((lie) =>
  [0, 1, 2, 3].map((bits) =>
    [1, 2, 3, 4].map((EACH) => ({ ...lie, BIASED: bits & 1, SUNK: bits >> 1, EACH }))
  )
);

interface Call {
  op: Scores & Pick<PagedAttentionOp, "window" | "sinks">;
  heads: number;
  /** Channels of a head. */
  head: number;
  /** Elements of a key. */
  width: number;
  rows: number;
  q: Binding;
  k: Binding;
  v: Binding;
  /** Elements from the start of k's and v's bindings to the first key and value. */
  keyAt: number;
  valueAt: number;
  /** Of an element in pages; undefined where k and v are no pages. */
  bits: KvBits | undefined;
  table: Binding;
  pagesPerRow: number;
  lengths: Binding;
  most: number;
  mask: Binding | undefined;
  out: Binding;
}

function attend(run: Run, c: Call, action: string): void {
  const { head, heads, op } = c;
  if (head > MOST_HEAD) refuse(action, `a head has at most ${MOST_HEAD} channels`, String(head));
  const shared = headsAKey(heads, head, c.width, action);
  const { more, sinks } = addends(run, c, action);
  checkApart(c.out, [c.q, c.k, c.v, c.table, c.lengths, c.mask, more], action);
  const lie = c.bits === undefined ? 0 : c.bits === 32 ? 1 : 2;
  const kind = (op.bias === undefined ? 0 : 1) | (op.sinks === undefined ? 0 : 2);
  run.gpu.dispatch({
    kernel: KERNELS.attention,
    constants: CONSTANTS[lie]![kind]![Math.ceil(head / 64) - 1]!,
    bindings: [c.q, c.k, c.v, c.table, c.lengths, c.mask, c.out, more],
    params: [
      heads * head,
      c.width,
      shared,
      head,
      floatBits(op.scale ?? 1 / Math.sqrt(head)),
      word(c.q),
      c.keyAt,
      c.valueAt,
      word(c.table),
      c.pagesPerRow,
      word(c.lengths),
      word(c.out),
      maskWord(c.mask),
      c.most,
      op.window ?? NONE,
      op.bias?.reach ?? 0,
      heads,
      sinks,
    ],
    groups: [heads, c.rows],
  });
}

/**
 * What scores gain by distance and head, gathered in scratch, and the sinks, from their own word of the binding on. A
 * kernel binds eight buffers, so where there are both, the sinks are copied behind the others.
 */
function addends(run: Run, { op, heads }: Call, action: string) {
  const own = op.sinks && vector(run, op.sinks, heads, action, "sinks");
  if (op.bias === undefined) return { more: own, sinks: word(own) };
  const more = scratch(run, "records"), sinks = distanceBias(run, op.bias, heads, more, action);
  if (own !== undefined) {
    const from = own.offset + own.base;
    run.gpu.copy(own.buffer.gpu!, from, more.buffer.gpu!, sinks * 4, heads * 4);
  }
  return { more, sinks };
}

/** Gathers what scores gain by distance and head; answers how many words that is. */
function distanceBias(
  run: Run,
  { table, buckets, reach }: DistanceBias,
  heads: number,
  out: Binding,
  action: string,
): number {
  const { bits } = table.format, distances = 2 * reach + 1, words = distances * heads;
  if (bits !== 32) refuse(action, "the bias table must be f32", `${bits} bits`);
  checkMatrix(table, heads, action, "bias table");
  // Sinks may come behind.
  const room = run.sizes.records / 4 - heads;
  if (words > room) refuse(action, `distances times heads are at most ${room}`, String(words));
  const places = range(run, buckets, distances * 4, action);
  const { buffer, offset, layout } = table;
  const entries = bind(run.gpu.limits, buffer, offset, layout.codesBytes, action);
  run.gpu.dispatch({
    kernel: KERNELS.distanceBias,
    bindings: [places, entries, , , , , out],
    params: [distances, heads, word(places), word(entries), layout.rowBytes / 4, layout.rows],
    groups: [Math.ceil(words / 64)],
  });
  return words;
}

/** `Backend.segmentAttention`. */
export function segmentAttention(run: Run, op: SegmentAttentionOp): void {
  const action = "run segmentAttention", rows = op.q.rows, d = op.q.cols, { mask: live } = op;
  const head = headWidth(d, op.heads, action), width = op.k.cols;
  const q = tensor(run, op.q, rows, d, action, "q");
  const k = tensor(run, op.k, op.k.rows, width, action, "k");
  const v = tensor(run, op.v, op.k.rows, width, action, "v");
  const out = tensor(run, op.out, rows, d, action, "out");
  checkRows(run, rows, action);
  const bounds = { count: rows, low: 0, high: op.k.rows - 1, name: "starts" };
  const lengthBounds = { count: rows, low: 1, high: op.k.rows, name: "lengths" };
  const up = new Indices(run, action, [[op.starts, rows], [op.lengths, rows], [live, rows]]);
  checkIndices(op.starts, live, bounds, action);
  checkIndices(op.lengths, live, lengthBounds, action);
  checkEnds(op, action);
  attend(run, {
    op,
    heads: op.heads,
    head,
    width,
    rows,
    q,
    k,
    v,
    keyAt: word(k),
    valueAt: word(v),
    bits: undefined,
    table: up.take(op.starts, rows),
    pagesPerRow: 0,
    lengths: up.take(op.lengths, rows),
    most: op.k.rows,
    mask: up.mask(live, rows, [out]),
    out,
  }, action);
}

/** Segments that the host knows must end by the last row. */
function checkEnds(op: SegmentAttentionOp, action: string): void {
  const { starts, lengths, mask } = op;
  if (!(starts instanceof Int32Array && lengths instanceof Int32Array)) return;
  for (let t = 0; t < op.q.rows; t++) {
    if (mask instanceof Int32Array && mask[t] === 0) continue;
    const end = starts[t]! + lengths[t]!;
    if (end > op.k.rows) refuse(action, `segments end by row ${op.k.rows}`, String(end));
  }
}

/** `Backend.pagedAttention`. Pages that the host knows are checked. */
export function pagedAttention(run: Run, op: PagedAttentionOp): void {
  const action = "run pagedAttention", rows = op.q.rows, d = op.q.cols, { mask: live } = op;
  const head = headWidth(d, op.heads, action), { width } = op.kv;
  const q = tensor(run, op.q, rows, d, action, "q");
  const out = tensor(run, op.out, rows, d, action, "out");
  const kv = kvBinding(run, op.kv, width, head, action), first = firstKey(op.kv, kv);
  checkWindow(op.window, action);
  checkRows(run, rows, action);
  const bounds = { count: rows, low: 1, high: op.pagesPerRow * PAGE_TOKENS, name: "lengths" };
  const table = usedPages(op, action);
  const up = new Indices(run, action, [
    [table.pages, rows * table.perRow],
    [op.lengths, rows],
    [live, rows],
  ]);
  checkIndices(op.lengths, live, bounds, action);
  checkPages(op, table.pages, table.perRow, action);
  attend(run, {
    op,
    heads: op.heads,
    head,
    width,
    rows,
    q,
    k: kv,
    v: kv,
    keyAt: first,
    valueAt: first + PAGE_TOKENS * width,
    bits: op.kv.bits,
    table: up.take(table.pages, rows * table.perRow),
    pagesPerRow: table.perRow,
    lengths: up.take(op.lengths, rows),
    most: op.pagesPerRow * PAGE_TOKENS,
    mask: up.mask(live, rows, [out]),
    out,
  }, action);
}
