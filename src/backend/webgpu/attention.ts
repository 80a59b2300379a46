/** Attention over segments and over paged keys and values, and the storing of the latter. */
import {
  type IndexArray,
  type KvBits,
  type KvLayer,
  kvPageBytes,
  PAGE_TOKENS,
  type PagedAttentionOp,
  type RowMask,
  type Scores,
  type SegmentAttentionOp,
  type StoreKvOp,
} from "../contract.ts";
import { checkKv, checkMatrix, headWidth, refuse } from "../shapes.ts";
import { bind, type Binding } from "./buffers.ts";
import { floatBits } from "./gpu.ts";
import { KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkIndices,
  checkRows,
  Indices,
  maskWord,
  range,
  type Run,
  scratch,
  tensor,
  word,
} from "./operands.ts";

/** Channels of a head, as kernels/wgsl/attention.wgsl holds them. */
const MOST_HEAD = 256;
/** How keys and values lie: segments, pages of f32, pages of f16. */
const LIES = [{ PAGED: 0, HALVES: 0 }, { PAGED: 1, HALVES: 0 }, { PAGED: 1, HALVES: 1 }];
/** By how keys lie, bias and channels a thread. */
const CONSTANTS = LIES.map((lie) =>
  [0, 1].map((BIASED) => [1, 2, 3, 4].map((EACH) => ({ ...lie, BIASED, EACH })))
);
const STORE = { 16: { HALVES: 1 }, 32: { HALVES: 0 } };

interface Call {
  op: Scores;
  d: number;
  heads: number;
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
  const head = headWidth(c.d, c.heads, action);
  if (head > MOST_HEAD) refuse(action, `a head has at most ${MOST_HEAD} channels`, String(head));
  checkApart(c.out, [c.q, c.k, c.v, c.table, c.lengths, c.mask], action);
  const bias = distanceBias(run, c, action), lie = c.bits === undefined ? 0 : c.bits === 32 ? 1 : 2;
  run.gpu.dispatch({
    kernel: KERNELS.attention,
    constants: CONSTANTS[lie]![bias === undefined ? 0 : 1]![Math.ceil(head / 64) - 1]!,
    bindings: [c.q, c.k, c.v, c.table, c.lengths, c.mask, c.out, bias],
    params: [
      c.d,
      head,
      floatBits(c.op.scale ?? 1 / Math.sqrt(head)),
      word(c.q),
      c.keyAt,
      c.valueAt,
      word(c.table),
      c.pagesPerRow,
      word(c.lengths),
      word(c.out),
      maskWord(c.mask),
      c.most,
      c.op.bias?.reach ?? 0,
      c.heads,
    ],
    groups: [c.heads, c.rows],
  });
}

/** What scores gain by distance and head, gathered in scratch; undefined where they gain nothing. */
function distanceBias(run: Run, { op, heads }: Call, action: string): Binding | undefined {
  if (op.bias === undefined) return undefined;
  const { table, buckets, reach } = op.bias, { bits } = table.format, distances = 2 * reach + 1;
  if (bits !== 32) refuse(action, "the bias table must be f32", `${bits} bits`);
  checkMatrix(table, heads, action, "bias table");
  const out = scratch(run, "records"), room = run.sizes.records / 4;
  if (distances * heads > room) {
    refuse(action, `distances times heads are at most ${room}`, String(distances * heads));
  }
  const places = range(run, buckets, distances * 4, action);
  const { buffer, offset, layout } = table;
  const entries = bind(run.gpu.limits, buffer, offset, layout.codesBytes, action);
  run.gpu.dispatch({
    kernel: KERNELS.distanceBias,
    bindings: [places, entries, , , , , out],
    params: [distances, heads, word(places), word(entries), layout.rowBytes / 4, layout.rows],
    groups: [Math.ceil(distances * heads / 64)],
  });
  return out;
}

/** `Backend.segmentAttention`. */
export function segmentAttention(run: Run, op: SegmentAttentionOp): void {
  const action = "run segmentAttention", rows = op.q.rows, d = op.q.cols, { mask: live } = op;
  headWidth(d, op.heads, action);
  const q = tensor(run, op.q, rows, d, action, "q");
  const k = tensor(run, op.k, op.k.rows, d, action, "k");
  const v = tensor(run, op.v, op.k.rows, d, action, "v");
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
    d,
    heads: op.heads,
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

function kvBinding(run: Run, kv: KvLayer, d: number, heads: number, action: string): Binding {
  checkKv(kv, d, heads, action);
  return bind(run.gpu.limits, kv.buffer, kv.offset, kv.pages * kvPageBytes(d, kv.bits), action);
}

/** Elements from the start of a layer's binding to its first key. */
function firstKey(kv: KvLayer, binding: Binding): number {
  return word(binding) * 32 / kv.bits;
}

/** `Backend.pagedAttention`. Pages that the host knows are checked. */
export function pagedAttention(run: Run, op: PagedAttentionOp): void {
  const action = "run pagedAttention", rows = op.q.rows, d = op.q.cols, { mask: live } = op;
  const q = tensor(run, op.q, rows, d, action, "q");
  const out = tensor(run, op.out, rows, d, action, "out");
  const kv = kvBinding(run, op.kv, d, op.heads, action), first = firstKey(op.kv, kv);
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
    d,
    heads: op.heads,
    rows,
    q,
    k: kv,
    v: kv,
    keyAt: first,
    valueAt: first + PAGE_TOKENS * d,
    bits: op.kv.bits,
    table: up.take(table.pages, rows * table.perRow),
    pagesPerRow: table.perRow,
    lengths: up.take(op.lengths, rows),
    most: op.pagesPerRow * PAGE_TOKENS,
    mask: up.mask(live, rows, [out]),
    out,
  }, action);
}

/** The table without the columns that no row looks at, where the host knows both. */
function usedPages(op: PagedAttentionOp, action: string): { pages: IndexArray; perRow: number } {
  const { pageTable, lengths, pagesPerRow, mask } = op, rows = op.q.rows;
  const whole = { pages: pageTable, perRow: pagesPerRow };
  if (!(pageTable instanceof Int32Array && lengths instanceof Int32Array)) return whole;
  if (pageTable.length < rows * pagesPerRow) {
    refuse(action, `it needs ${rows * pagesPerRow} indices`, String(pageTable.length));
  }
  let longest = 1;
  for (let t = 0; t < rows; t++) {
    const masked = mask instanceof Int32Array && mask[t] === 0;
    if (!masked) longest = Math.max(longest, lengths[t] ?? 0);
  }
  const perRow = Math.min(pagesPerRow, Math.ceil(longest / PAGE_TOKENS));
  if (perRow === pagesPerRow) return whole;
  const pages = new Int32Array(rows * perRow);
  for (let t = 0; t < rows; t++) {
    const from = t * pagesPerRow;
    pages.set(pageTable.subarray(from, from + perRow), t * perRow);
  }
  return { pages, perRow };
}

/** Every page that a live row reads must exist. */
function checkPages(op: PagedAttentionOp, pages: IndexArray, perRow: number, action: string): void {
  const { lengths, mask } = op, high = op.kv.pages;
  if (!(pages instanceof Int32Array && lengths instanceof Int32Array)) return;
  for (let t = 0; t < op.q.rows; t++) {
    if (mask instanceof Int32Array && mask[t] === 0) continue;
    const used = (lengths[t]! + PAGE_TOKENS - 1) >> 4;
    for (let p = t * perRow; p < t * perRow + used; p++) {
      const page = pages[p]!;
      if (page < 0 || page >= high) refuse(action, `pages are 0 to ${high - 1}`, String(page));
    }
  }
}

/** `Backend.storeKv`. */
export function storeKv(run: Run, op: StoreKvOp): void {
  const action = "run storeKv", rows = op.k.rows, d = op.k.cols, live: RowMask = op.mask;
  const k = tensor(run, op.k, rows, d, action, "k");
  const v = tensor(run, op.v, rows, d, action, "v");
  const kv = kvBinding(run, op.kv, d, 1, action);
  checkRows(run, rows, action);
  const count = op.kv.pages * PAGE_TOKENS;
  const up = new Indices(run, action, [[op.places, rows], [live, rows]]);
  checkIndices(op.places, live, { count: rows, low: -1, high: count - 1, name: "places" }, action);
  const places = up.take(op.places, rows), mask = up.mask(live, rows, [kv]);
  checkApart(kv, [k, v, places, mask], action);
  run.gpu.dispatch({
    kernel: KERNELS.storeKv,
    constants: STORE[op.kv.bits],
    bindings: [k, v, , places, , mask, kv],
    params: [d, word(k), word(v), firstKey(op.kv, kv), word(places), count, maskWord(mask)],
    groups: [rows],
  });
}
