/** Small objects of random blocks, for tests of stores and fetchers. */
import { createHash } from "node:crypto";
import type { BlockRef } from "../../src/store/manifest.ts";

export interface TestObject {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
  refs: BlockRef[];
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** One object (number `index` in its manifest) of `count` blocks of `length` bytes each. */
export function testObject(count: number, length: number, index = 0): TestObject {
  const bytes = new Uint8Array(count * length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + (i >> 8) * 17 + index * 7) & 255;
  const refs = Array.from({ length: count }, (_, i) => ({
    object: index,
    offset: i * length,
    length,
    sha256: sha256(bytes.subarray(i * length, (i + 1) * length)),
  }));
  return { name: `${sha256(bytes)}.moqe`, bytes, refs };
}
