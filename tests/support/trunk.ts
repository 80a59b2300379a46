/** Reads a packed model's trunk tensors back. */
import { matrixLayout } from "../../src/base/layout.ts";
import { dequantize, viewMatrix } from "../../src/quant/matrix.ts";
import type { ObjectStore } from "../../src/store/contract.ts";
import type { Manifest } from "../../src/store/manifest.ts";

/** A trunk matrix as it is decoded: f32 [rows, cols]. */
export async function readTrunk(
  store: ObjectStore,
  { trunk, objects, formats }: Manifest,
  name: string,
): Promise<Float32Array> {
  const { shape, format, blocks } = trunk.find((t) => t.name === name)!;
  const [rows, cols] = shape as [number, number];
  const parts = await Promise.all(
    blocks.map((b) => store.readRange(objects[b.object]!.name, b)),
  );
  const bytes = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  parts.reduce((at, part) => (bytes.set(part, at), at + part.length), 0);
  const form = formats[format]!, { codesBytes } = matrixLayout(rows, cols, form);
  const offsets = { codesOffset: 0, scalesOffset: codesBytes };
  return dequantize(viewMatrix(bytes, rows, cols, form, offsets));
}
