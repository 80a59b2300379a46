/** Sizes of K/V pages of a model. */
import { type KvBits, kvPageBytes } from "../backend/contract.ts";
import type { ModelSpec } from "./spec.ts";

/** Bytes that one K/V page takes over all decoder layers. */
export function pageBytes(spec: ModelSpec, kvBits: KvBits): number {
  return spec.decoder.layers.length * layerPageBytes(spec, kvBits);
}

/** Bytes of a page in one layer's buffer. */
export function layerPageBytes(spec: ModelSpec, kvBits: KvBits): number {
  return kvPageBytes(spec.attentionWidth, heldBits(spec, kvBits));
}

/** Bits of an element: what is asked for, but 32 for heads of an odd width, which f16 pages cannot hold. */
export function heldBits(spec: ModelSpec, kvBits: KvBits): KvBits {
  return spec.attentionWidth / spec.decoderHeads % 2 === 1 ? 32 : kvBits;
}
