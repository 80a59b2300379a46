/** Pages of keys and values: as kernels bind them, which of them a call reads, and the storing of rows. */
import {
  type IndexArray,
  type KvLayer,
  kvPageBytes,
  PAGE_TOKENS,
  type PagedAttentionOp,
  type RowMask,
  type StoreKvOp,
} from "../contract.ts";
import { checkKv, refuse } from "../shapes.ts";
import { bind, type Binding } from "./buffers.ts";
import { KERNELS } from "./kernels.ts";
import {
  checkApart,
  checkIndices,
  checkRows,
  Indices,
  maskWord,
  type Run,
  tensor,
  word,
} from "./operands.ts";

const STORE = { 16: { HALVES: 1 }, 32: { HALVES: 0 } };

/** A layer's pages, which must hold keys of `width` and heads of `head`. */
export function kvBinding(
  run: Run,
  kv: KvLayer,
  width: number,
  head: number,
  action: string,
): Binding {
  checkKv(kv, width, head, action);
  const bytes = kv.pages * kvPageBytes(width, kv.bits);
  return bind(run.gpu.limits, kv.buffer, kv.offset, bytes, action);
}

/** Elements from the start of a layer's binding to its first key. */
export function firstKey(kv: KvLayer, binding: Binding): number {
  return word(binding) * 32 / kv.bits;
}

/** The table without the columns that no row looks at, where the host knows both. */
export function usedPages(
  op: PagedAttentionOp,
  action: string,
): { pages: IndexArray; perRow: number } {
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
export function checkPages(
  op: PagedAttentionOp,
  pages: IndexArray,
  perRow: number,
  action: string,
): void {
  const { lengths, mask } = op, high = op.kv.pages;
  if (!(pages instanceof Int32Array && lengths instanceof Int32Array)) return;
  for (let t = 0; t < op.q.rows; t++) {
    if (mask instanceof Int32Array && mask[t] === 0) continue;
    const first = Math.max(0, lengths[t]! - (op.window ?? Infinity)) >> 4;
    const used = (lengths[t]! + PAGE_TOKENS - 1) >> 4;
    for (let p = first; p < used; p++) {
      const page = pages[t * perRow + p]!;
      if (page < 0 || page >= high) refuse(action, `pages are 0 to ${high - 1}`, String(page));
    }
  }
}

/** `Backend.storeKv`. */
export function storeKv(run: Run, op: StoreKvOp): void {
  const action = "run storeKv", rows = op.k.rows, width = op.k.cols, live: RowMask = op.mask;
  const k = tensor(run, op.k, rows, width, action, "k");
  const v = tensor(run, op.v, rows, width, action, "v");
  const kv = kvBinding(run, op.kv, width, width, action);
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
    params: [width, word(k), word(v), firstKey(op.kv, kv), word(places), count, maskWord(mask)],
    groups: [rows],
  });
}
