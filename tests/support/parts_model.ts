/**
 * A made-up checkpoint with every way of storing that a plan's parts can say, and beside it each planned tensor as the
 * definition of that part says it is, element by element.
 */
import type { ExpertLayerSpec, ModelPlan, TensorPart, TensorSpec } from "../../src/base/plan.ts";
import { uniform } from "../quant/random.ts";
import { safetensors, type TestTensor } from "./safetensors.ts";

/** Experts a layer; widths are odd where nothing is encoded. */
const E = 3, D = 7, FF = 5, WIDE = 96, NARROW = 32;
const LEVELS = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

/** Stored tensors by name, as files have them and as numbers; those of MXFP4 are numbers under the name of both. */
class Stored {
  readonly files: Record<string, TestTensor> = {};
  readonly values = new Map<string, Float32Array>();
  readonly #random = uniform(17);

  /** Multiples of 1/8 below 16, which every type of weights holds. */
  add(name: string, shape: readonly number[], dtype: "F32" | "F16" | "BF16" = "BF16"): void {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1))
      .map(() => Math.floor(this.#random() * 255 - 127) / 8);
    const data = dtype === "F32"
      ? values
      : dtype === "F16"
      ? new Float16Array(values)
      : new Uint16Array(values.length).map((_, i) =>
        new Uint32Array(values.buffer, 4 * i, 1)[0]! >>> 16
      );
    this.values.set(name, values);
    this.files[`model.${name}`] = { dtype, shape: [...shape], data: bytesOf(data) };
  }

  /** @param least the smallest exponent and how many follow it */
  addMxfp4(
    name: string,
    shape: readonly number[],
    [least, count]: readonly [number, number],
  ): void {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const blocks = new Uint8Array(values.length / 2), scales = new Uint8Array(values.length / 32);
    for (let g = 0; g < scales.length; g++) {
      const e = scales[g] = least + Math.floor(this.#random() * count);
      // Some groups have small levels alone, or nothing but zeros.
      const most = [16, 16, 3, 1][g % 4]!;
      for (let i = 32 * g; i < 32 * (g + 1); i++) {
        const code = Math.floor(this.#random() * most) | (this.#random() < 0.5 ? 8 : 0);
        blocks[i >> 1]! |= code << 4 * (i & 1);
        values[i] = (code > 8 ? -1 : 1) * LEVELS[code & 7]! * 2 ** (e - 127);
      }
    }
    this.values.set(name, values);
    const groups = [...shape.slice(0, -1), shape.at(-1)! / 32];
    this.files[`${name}_blocks`] = { dtype: "U8", shape: [...groups, 16], data: blocks };
    this.files[`${name}_scales`] = { dtype: "U8", shape: groups, data: scales };
  }
}

function bytesOf(data: Float32Array | Float16Array | Uint16Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}

export interface PartsModel {
  readonly plan: ModelPlan;
  /** As they are stored. */
  readonly tensors: Record<string, TestTensor>;
  /** f32 of a planned tensor, by the definition of its parts. */
  dense(planned: Pick<TensorSpec, "name" | "shape" | "parts">): Float32Array;
}

/** @param exponents of MXFP4: the smallest and how many follow it */
export function partsModel(exponents: readonly [number, number] = [108, 30]): PartsModel {
  const stored = new Stored();
  const tensors = trunk(stored);
  const expertLayers = [
    joined(stored),
    stacked(stored),
    transposed(stored),
    encoded(stored, exponents),
  ];
  stored.add("mtp.layers.0.weight", [3, 3]);
  stored.add("mtp.norm.weight", [3]);
  stored.add("rotary", [2], "F32");
  const plan: ModelPlan = {
    modelType: "made up",
    tensors,
    expertLayers,
    ignored: new Map([["rotary", "computed"]]),
    leftOut: [
      { prefix: "mtp.", reason: "multi-token prediction head" },
      { prefix: "visual.", reason: "images" },
    ],
    tiedHead: { name: "head", of: "table" },
  };
  return { plan, tensors: stored.files, dense: (planned) => dense(stored, planned) };
}

function trunk(stored: Stored): TensorSpec[] {
  stored.add("table", [11, D]);
  stored.add("attention.q", [6, D], "F16");
  stored.add("attention.k", [3, D]);
  stored.add("attention.v", [2, D], "F32");
  stored.add("attention.turned", [D, 11]);
  stored.add("attention.bias", [13]);
  stored.add("taps", [9, 1, 4]);
  const place = { stack: "decoder", part: "attention" } as const;
  const part = (tensor: string, shape: number[]): TensorPart => ({ tensor, shape });
  return [
    { name: "table", role: "embedding", shape: [11, D] },
    {
      name: "attention.qkv",
      role: "matrix",
      place,
      shape: [11, D],
      parts: [
        part("attention.q", [6, D]),
        part("attention.k", [3, D]),
        part("attention.v", [2, D]),
      ],
    },
    {
      name: "attention.thirds",
      role: "matrix",
      place,
      shape: [11, D],
      parts: [0, 1, 2].map((first) => ({
        ...part("attention.turned", [D, 11]),
        transposed: true,
        every: { first, step: 3 },
      })),
    },
    {
      name: "attention.biases",
      role: "vector",
      shape: [13],
      parts: [1, 0].map((first) => ({
        ...part("attention.bias", [13]),
        every: { first, step: 2 },
      })),
    },
    { name: "taps.flat", role: "exact", shape: [9, 4], parts: [part("taps", [9, 1, 4])] },
  ];
}

/** Two matrices, biases where `bias`; parts by what tensor of expert e it is. */
function layer(
  ordinal: number,
  [d, ff]: readonly [number, number],
  bias: boolean,
  parts: (e: number, what: string) => TensorPart[],
): ExpertLayerSpec {
  return {
    stack: "decoder",
    layer: ordinal,
    count: E,
    activation: "gated silu",
    projections: [
      { name: "in", rows: 2 * ff, cols: d, bias },
      { name: "out", rows: d, cols: ff, bias },
    ],
    tensorNames: (e, p) => ({ weight: `${ordinal}.${e}.${p}`, bias: `${ordinal}.${e}.${p}.bias` }),
    parts: (e, p, of) => parts(e, of === "bias" ? `${p}.bias` : p),
  };
}

/** Each expert's own gate, up and down (Qwen, OLMoE, Mixtral). */
function joined(stored: Stored): ExpertLayerSpec {
  for (let e = 0; e < E; e++) {
    stored.add(`joined.${e}.gate`, [FF, D]);
    stored.add(`joined.${e}.up`, [FF, D], "F16");
    stored.add(`joined.${e}.down`, [D, FF]);
  }
  return layer(
    0,
    [D, FF],
    false,
    (e, what) =>
      what === "out"
        ? [{ tensor: `joined.${e}.down`, shape: [D, FF] }]
        : ["gate", "up"].map((half) => ({ tensor: `joined.${e}.${half}`, shape: [FF, D] })),
  );
}

/** All experts in one tensor, the gate's half first (Granite). */
function stacked(stored: Stored): ExpertLayerSpec {
  stored.add("stacked.in", [E, 2 * FF, D]);
  stored.add("stacked.out", [E, D, FF]);
  return layer(1, [D, FF], false, (index, what) => [{
    tensor: `stacked.${what}`,
    shape: what === "in" ? [E, 2 * FF, D] : [E, D, FF],
    index,
  }]);
}

const EVEN = { first: 0, step: 2 }, ODD = { first: 1, step: 2 };

/** Columns are rows, gate and up take turns (gpt-oss as it was trained). */
function transposed(stored: Stored): ExpertLayerSpec {
  const shapes: Record<string, number[]> = {
    in: [E, D, 2 * FF],
    out: [E, FF, D],
    "in.bias": [E, 2 * FF],
    "out.bias": [E, D],
  };
  for (const [what, shape] of Object.entries(shapes)) stored.add(`transposed.${what}`, shape);
  return layer(2, [D, FF], true, (index, what) => {
    const turned = what.endsWith("bias") ? {} : { transposed: true as const };
    const part = { tensor: `transposed.${what}`, shape: shapes[what]!, index, ...turned };
    return what.startsWith("out") ? [part] : [EVEN, ODD].map((every) => ({ ...part, every }));
  });
}

/** MXFP4, rows that take turns (gpt-oss as it is published). */
function encoded(stored: Stored, exponents: readonly [number, number]): ExpertLayerSpec {
  const shapes: Record<string, number[]> = {
    in: [E, 2 * NARROW, WIDE],
    out: [E, WIDE, NARROW],
    "in.bias": [E, 2 * NARROW],
    "out.bias": [E, WIDE],
  };
  stored.addMxfp4("encoded.in", shapes.in!, exponents);
  stored.addMxfp4("encoded.out", shapes.out!, exponents);
  stored.add("encoded.in.bias", shapes["in.bias"]!);
  stored.add("encoded.out.bias", shapes["out.bias"]!);
  return layer(3, [WIDE, NARROW], true, (index, what) => {
    const mxfp4 = what.endsWith("bias") ? {} : { encoding: "mxfp4" as const };
    const part = { tensor: `encoded.${what}`, shape: shapes[what]!, index, ...mxfp4 };
    return what.startsWith("out") ? [part] : [EVEN, ODD].map((every) => ({ ...part, every }));
  });
}

function dense(
  { values }: Stored,
  { name, shape, parts }: Pick<TensorSpec, "name" | "shape" | "parts">,
): Float32Array {
  if (parts === undefined) return values.get(name)!;
  const out: number[] = [];
  for (const { tensor, shape: stored, index, transposed: turned, every } of parts) {
    const size = stored.reduce((a, b) => a * b, 1) / (index === undefined ? 1 : stored[0]!);
    const slab = values.get(tensor)!.subarray((index ?? 0) * size, ((index ?? 0) + 1) * size);
    const width = shape.length === 1 ? 1 : stored.at(-1)!, height = size / width;
    const [rows, cols] = turned ? [width, height] : [height, width];
    for (let r = every?.first ?? 0; r < rows; r += every?.step ?? 1) {
      for (let c = 0; c < cols; c++) out.push(slab[turned ? c * width + r : r * width + c]!);
    }
  }
  return Float32Array.from(out);
}

/** The checkpoint's files: one, or shards of a few tensors each, tensors of one stack apart from its scales. */
export function partsFiles(
  tensors: Record<string, TestTensor>,
  isSharded: boolean,
): Record<string, Uint8Array | string> {
  const texts = { "config.json": `{"model_type":"made up"}`, "tokenizer.json": "{}" };
  if (!isSharded) return { ...texts, "model.safetensors": safetensors(tensors) };
  const shards: Record<string, TestTensor>[] = [{}, {}, {}], map: Record<string, string> = {};
  for (const [i, [name, tensor]] of Object.entries(tensors).entries()) {
    shards[i % 3]![name] = tensor;
    map[name] = `shard-${i % 3}.safetensors`;
  }
  return {
    ...texts,
    "model.safetensors.index.json": JSON.stringify({ weight_map: map }),
    ...Object.fromEntries(shards.map((s, i) => [`shard-${i}.safetensors`, safetensors(s)])),
  };
}
