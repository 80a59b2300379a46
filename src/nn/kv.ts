/** Sizes of K/V pages of a model. */
import { type KvBits, kvPageBytes } from "../backend/contract.ts";
import type { AttentionSpec, ModelSpec } from "./spec.ts";

/** Bytes that one K/V page takes over all decoder layers. */
export function pageBytes(spec: ModelSpec, kvBits: KvBits): number {
  return spec.decoder.layers.reduce((n, l) => n + layerPageBytes(l.attention, kvBits), 0);
}

/** Bytes of a page in the widest layer's buffer. */
export function widestPageBytes(spec: ModelSpec, kvBits: KvBits): number {
  return Math.max(...spec.decoder.layers.map((l) => layerPageBytes(l.attention, kvBits)));
}

/** Bytes of a page in the buffer of a layer. */
export function layerPageBytes(attention: AttentionSpec, kvBits: KvBits): number {
  return kvPageBytes(kvWidth(attention), heldBits(attention, kvBits));
}

/** Width of a key. */
export function kvWidth({ kvHeads, headDim }: AttentionSpec): number {
  return kvHeads * headDim;
}

/** Bits of an element: what is asked for, but 32 for heads of an odd width, which f16 pages cannot hold. */
export function heldBits({ headDim }: AttentionSpec, kvBits: KvBits): KvBits {
  return headDim % 2 === 1 ? 32 : kvBits;
}
