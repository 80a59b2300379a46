/** Planned tensors made of stored ones: every kind of part, row by row, from one file and from shards. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { type ModelPlan, plannedTensors, type TensorPart } from "../../src/base/plan.ts";
import { checkAgainstPlan } from "../../src/checkpoint/check.ts";
import { asMatrix, type StoredTensors } from "../../src/checkpoint/contract.ts";
import { openFolder } from "../../src/checkpoint/open.ts";
import { asPlanned } from "../../src/checkpoint/parts.ts";
import { storedTensors } from "../../src/checkpoint/stored.ts";
import { openTensors } from "../../src/checkpoint/tensor_source.ts";
import { decodeMxfp4 } from "../../src/quant/mxfp4.ts";
import { partsFiles, partsModel } from "../support/parts_model.ts";
import { temporaryFolder, type TestTensor } from "../support/safetensors.ts";

/** The made-up model's tensors, opened. */
async function open(tensors: Record<string, TestTensor>, isSharded = false) {
  const folder = temporaryFolder(partsFiles(tensors, isSharded));
  const source = await openTensors(await openFolder(folder.path));
  return {
    source,
    [Symbol.dispose]() {
      source.close();
      folder[Symbol.dispose]();
    },
  };
}

for (const isSharded of [false, true]) {
  for (const band of [undefined, 40, 1]) {
    const how = `${isSharded ? "shards" : "one file"}, bands of ${band ?? "64 MiB"}`;
    Deno.test(`every planned tensor is what its parts say, whole and by rows: ${how}`, async () => {
      const { plan, tensors, dense } = partsModel();
      using opened = await open(tensors, isSharded);
      assertEquals(checkAgainstPlan(opened.source, plan), [
        { prefix: "mtp.", reason: "multi-token prediction head", tensors: 2 },
      ]);
      const view = asPlanned(opened.source, plan, band), all = [...plannedTensors(plan)];
      assertEquals([...view.tensors.keys()], all.map((t) => t.name));
      for (const planned of all) {
        const { name, shape } = planned, { rows, cols } = asMatrix(shape), due = dense(planned);
        assertEquals(view.tensors.get(name)!.shape, shape);
        assertEquals([name, await view.readRows(name, 0, rows)], [name, due]);
        assertEquals(await view.readRows(name, rows, 0), new Float32Array(0));
        await assertRejects(() => view.readRows(name, rows, 1), RangeError, "cannot read");
        for (let r = 0; r < Math.min(rows, 12); r++) {
          const count = Math.min(1 + r % 3, rows - r), into = new Float32Array(count * cols + 3);
          const got = await view.readRows(name, r, count, { into });
          assertEquals([name, r, got], [name, r, due.subarray(r * cols, (r + count) * cols)]);
          assert(got.buffer === into.buffer && into.at(-1) === 0);
        }
      }
    });
  }
}

Deno.test("reads at the same time do not disturb each other", async () => {
  const { plan, tensors, dense } = partsModel();
  using opened = await open(tensors);
  const view = asPlanned(opened.source, plan, 40), all = [...plannedTensors(plan)];
  const got = await Promise.all(
    all.map(({ name, shape }) => view.readRows(name, 0, asMatrix(shape).rows)),
  );
  for (const [i, planned] of all.entries()) assertEquals(got[i], dense(planned));
});

Deno.test("a plan without parts is read from the source itself", async () => {
  const { plan, tensors } = partsModel();
  using opened = await open(tensors);
  const plain = { ...plan, tensors: plan.tensors.slice(0, 1), expertLayers: [] };
  assert(asPlanned(opened.source, plain) === opened.source);
});

Deno.test("a matrix whose rows do not lie together is read once, by ranges", async () => {
  const { plan, tensors } = partsModel();
  using opened = await open(tensors);
  const { source } = opened, read = new Map<string, number>();
  const counted = <T>(name: string, rows: number, of: T): T => {
    const { shape } = source.tensors.get(name)!;
    read.set(name, (read.get(name) ?? 0) + rows * asMatrix(shape).cols);
    return of;
  };
  const counting: StoredTensors = {
    origin: source.origin,
    identity: source.identity,
    tensors: source.tensors,
    readRows: (name, ...ask) => counted(name, ask[1], source.readRows(name, ...ask)),
    readBytes: (name, ...ask) => counted(name, ask[1], source.readBytes(name, ...ask)),
    close() {},
  };
  const view = asPlanned(counting, plan);
  for (const layer of plan.expertLayers) {
    for (let e = 0; e < layer.count; e++) {
      for (const p of layer.projections) {
        const { weight } = layer.tensorNames(e, p.name);
        for (let r = 0; r < p.rows; r++) await view.readRows(weight, r, 1);
      }
    }
  }
  for (const [name, elements] of read) {
    assertEquals([name, elements], [
      name,
      source.tensors.get(name)!.shape.reduce((a, b) => a * b, 1),
    ]);
  }
  assert(read.has("transposed.in") && read.has("encoded.in_blocks"));
});

Deno.test("a matrix is turned in pieces of 4 MiB at most, whatever its size", async () => {
  const rows = 1500, cols = 1000, size = rows * cols;
  const part = { tensor: "w", shape: [2, rows, cols], index: 1, transposed: true } as const;
  const data = new Uint8Array(new Float32Array(2 * size).map((_, i) => i).buffer);
  using opened = await open({ w: { dtype: "F32", shape: [...part.shape], data } });
  const { source } = opened, pieces: number[] = [];
  const watched = Object.create(source) as StoredTensors;
  watched.readRows = (name, start, count, options) => {
    pieces.push(options!.into!.buffer.byteLength);
    return source.readRows(name, start, count, options);
  };
  // Bands hold a fifth of the matrix.
  const view = asPlanned(watched, onePlan([cols, rows], [part]), size / 5);
  const due = Float32Array.from({ length: rows }, (_, r) => size + r * cols + 7);
  assertEquals(await view.readRows("planned", 7, 1), due);
  assert(pieces.length === 2 && Math.max(...pieces) <= 4 * 2 ** 20, `${pieces}`);
});

/** A plan of one tensor. */
function onePlan(shape: number[], parts: TensorPart[]): ModelPlan {
  const tensors = [{ name: "planned", role: "matrix" as const, shape, parts }];
  return { modelType: "made up", tensors, expertLayers: [], ignored: new Map() };
}

Deno.test("MXFP4: every code at every exponent, exactly", () => {
  const blocks = new Uint8Array(256 * 16), scales = new Uint8Array(256).map((_, e) => e);
  for (let i = 0; i < blocks.length; i++) {
    blocks[i] = (2 * i & 15) | (2 * i + 1 & 15) << 4;
  }
  const got = new Float32Array(256 * 32);
  decodeMxfp4(blocks, scales, got);
  const half = [0, 0.5, 1, 1.5, 2, 3, 4, 6], values = [...half, ...half.map((v) => v ? -v : 0)];
  for (let e = 0; e < 256; e++) {
    for (let i = 0; i < 32; i++) {
      const due = e === 255 ? NaN : Math.fround(values[i % 16]! * 2 ** (e - 127));
      assert(Object.is(got[32 * e + i], due), `exponent ${e}, code ${i % 16}: ${got[32 * e + i]}`);
    }
  }
});

Deno.test("every tensor that is missing, surplus, misshapen or mistyped is in one error", async () => {
  const { plan, tensors } = partsModel();
  const { "encoded.in_scales": _, "model.stacked.out": __, ...rest } = tensors;
  const blocks = rest["encoded.in_blocks"]!, scales = rest["encoded.out_scales"]!;
  const wrong: Record<string, TestTensor> = {
    ...rest,
    "encoded.in_blocks": { ...blocks, shape: blocks.shape.with(2, 1).with(3, 48) },
    "encoded.out_scales": { ...scales, dtype: "I8" },
    "model.joined.1.gate": { dtype: "F8_E4M3", shape: [5, 7], data: new Uint8Array(35) },
    "model.joined.1.gate_scale": { dtype: "F32", shape: [1], data: new Uint8Array(4) },
    "visuals.x": { dtype: "F32", shape: [1], data: new Uint8Array(4) },
    "model.visual.x": { dtype: "I64", shape: [1], data: new Uint8Array(8) },
    "head": { dtype: "F32", shape: [1], data: new Uint8Array(4) },
  };
  using opened = await open(wrong);
  const error = assertThrows(() => checkAgainstPlan(opened.source, plan), MoqeError);
  assertEquals(error.code, "bad_input");
  const lines = error.message.split("\n").filter((l) => l.startsWith("  ")).map((l) => l.trim());
  assertEquals(lines.sort(), [
    "misshapen: encoded.in_blocks is [3, 64, 1, 48], should be [3, 64, 3, 16]",
    "missing: encoded.in_scales [3, 64, 3]",
    "missing: stacked.out [3, 7, 5]",
    "mistyped: encoded.out_scales is I8, MXFP4 is U8",
    "mistyped: joined.1.gate is F8_E4M3, weights are F32, F16, BF16",
    'surplus: "joined.1.gate_scale"',
    'surplus: "visuals.x"',
  ]);
});

Deno.test("plans whose parts do not make what is planned are faults of the plan", () => {
  const faults: [number[], TensorPart[], string][] = [
    [[4, 6], [{ tensor: "w", shape: [6, 4] }], "makes planned [4,6] of [6, 4]"],
    [[6, 4], [{ tensor: "w", shape: [3, 4] }], "of [3, 4]"],
    [[6, 4], [{ tensor: "w", shape: [2, 6, 4], index: 2 }], "not there"],
    [[6, 4], [{ tensor: "w", shape: [6, 4], every: { first: 6, step: 1 } }], "not there"],
    [[6, 4], [{ tensor: "w", shape: [12, 4], every: { first: 0, step: 0 } }], "not there"],
    [[4], [{ tensor: "w", shape: [2, 4] }], "not there"],
    [[4], [{ tensor: "w", shape: [4], transposed: true }], "not there"],
  ];
  for (const [shape, parts, text] of faults) {
    const { message } = assertThrows(() => storedTensors(onePlan(shape, parts)), RangeError);
    assertStringIncludes(message, text);
  }
  const twice = [{ tensor: "w", shape: [3, 4] }, { tensor: "w", shape: [1, 3, 4], index: 0 }];
  assertThrows(() => storedTensors(onePlan([6, 4], twice)), RangeError, "as [3,4] and as [1,3,4]");
  const narrow = onePlan([6, 40], [{ tensor: "w", shape: [6, 40], encoding: "mxfp4" }]);
  const error = assertThrows(() => storedTensors(narrow), MoqeError, "whole groups of 32");
  assertEquals(error.code, "unsupported");
});

Deno.test("a read that fails leaves no half-read band behind", async () => {
  const { plan, tensors, dense } = partsModel();
  using opened = await open(tensors);
  let fails = true;
  const failing = Object.create(opened.source) as StoredTensors;
  failing.readRows = async (...ask) => {
    const rows = await opened.source.readRows(...ask);
    if (!fails || ask[0] !== "transposed.in") return rows;
    rows.fill(99);
    throw new Error("reset");
  };
  const view = asPlanned(failing, plan);
  const planned = [...plannedTensors(plan)].find((t) => t.name === "2.1.in")!;
  await assertRejects(() => view.readRows("2.1.in", 0, 4), Error, "reset");
  fails = false;
  assertEquals(await view.readRows("2.1.in", 0, 10), dense(planned));
});
