/** Random experts as blocks in arenas, and what they mean: for the tests of expert operations. */
import { expertLayout, type MatrixFormat } from "../../src/base/layout.ts";
import {
  type Activation,
  type Arena,
  type Backend,
  type ExpertBase,
  type Gating,
  placeOf,
} from "../../src/backend/contract.ts";
import * as twin from "../../tools/twin/experts.ts";
import { packedRandom, type PackedTwin, type Random } from "../../tools/twin/packed.ts";
import * as on from "./device.ts";

export interface Layer {
  layout: ReturnType<typeof expertLayout>;
  blocks: Uint8Array<ArrayBuffer>[];
  twins: { fc1: PackedTwin; fc2: PackedTwin; b1: Float32Array; b2: Float32Array }[];
}

/** `count` random experts as blocks, and what they mean. fc1 has `hidden` rows, ff unless they are gated. */
export function layer(
  count: number,
  d: number,
  ff: number,
  format: MatrixFormat,
  random: Random,
  { bias = true, hidden = ff }: { bias?: boolean; hidden?: number } = {},
): Layer {
  const shapes = [
    { name: "fc1", rows: hidden, cols: d, bias },
    { name: "fc2", rows: d, cols: ff, bias },
  ];
  const layout = expertLayout(shapes, format);
  const made: Layer = { layout, blocks: [], twins: [] };
  for (let e = 0; e < count; e++) {
    const block = new Uint8Array(layout.bytes);
    const [fc1, fc2] = shapes.map((s, p) => {
      const packed = packedRandom(s.rows, s.cols, format, random);
      const at = layout.projections[p]!, { codesBytes } = packed.layout;
      block.set(packed.bytes.subarray(0, codesBytes), at.codesOffset);
      block.set(packed.bytes.subarray(codesBytes), at.scalesOffset);
      return packed;
    });
    const [b1, b2] = [hidden, d].map((n) => bias ? on.randoms(n, random) : new Float32Array(n));
    [b1!, b2!].forEach((b, p) => {
      if (bias) block.set(on.asBytes(b), layout.projections[p]!.biasOffset);
    });
    made.blocks.push(block);
    made.twins.push({ fc1: fc1!, fc2: fc2!, b1: b1!, b2: b2! });
  }
  return made;
}

/** Expert e into slot slots[e], counted over all arenas; the place of each. */
export function load(
  backend: Backend,
  arenas: readonly Arena[],
  made: Layer,
  slots: readonly number[],
  layoutIndex = 0,
): number[] {
  return slots.map((flat, expert) => {
    const each = arenas[0]!.slots, { buffer, slotBytes } = arenas[Math.floor(flat / each)]!;
    backend.write(buffer, flat % each * slotBytes, made.blocks[expert]!);
    return placeOf(flat, layoutIndex);
  });
}

/** A base that experts of a layer are added to. */
export interface BaseTwin {
  fc1: PackedTwin;
  fc2: PackedTwin;
}

/** A random base; fc1 has `hidden` rows. */
export function base(
  d: number,
  ff: number,
  format: MatrixFormat,
  random: Random,
  hidden = ff,
): BaseTwin {
  return { fc1: packedRandom(hidden, d, format, random), fc2: packedRandom(d, ff, format, random) };
}

/** A base on the device. */
export function loadBase(backend: Backend, made: BaseTwin | undefined): ExpertBase | undefined {
  return made && { fc1: on.matrix(backend, made.fc1), fc2: on.matrix(backend, made.fc2) };
}

/** What an expert gives for one row, in float64, added to a base where there is one. */
export function expertTwin(
  made: Layer,
  expert: number,
  x: ArrayLike<number>,
  { base, activation = "relu" }: { base?: BaseTwin | undefined; activation?: Activation | Gating } =
    {},
): Float64Array {
  const { fc1, fc2, b1, b2 } = made.twins[expert]!;
  const sum = (w: PackedTwin, more: PackedTwin | undefined) =>
    Float64Array.from(w.dense, (v, i) => v + (more?.dense[i] ?? 0));
  const w1 = sum(fc1, base?.fc1), w2 = sum(fc2, base?.fc2);
  return twin.expertTwin({ x, w1, w2, b1, b2, activation });
}
