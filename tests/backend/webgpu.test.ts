/** What only WebGPU has: bindings that see a part, submissions, readbacks, errors of the device. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { Ledger } from "../../src/base/ledger.ts";
import type { Backend } from "../../src/backend/contract.ts";
import { packedRandom, seeded } from "../../tools/twin/packed.ts";
import { openDevice } from "../../src/backend/webgpu/adapter.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { STAGING_BYTES } from "../../src/backend/webgpu/readback.ts";
import { syncReadbackWorks } from "../../src/backend/webgpu/sync_readback.ts";
import { testNeeding } from "../support/needs.ts";
import * as on from "./device.ts";

const test = testNeeding("vulkan");

/** Rows that fit in a binding of 64 KiB as activations, and matrices that do not. */
const SMALL = { ...on.SHAPE, maxRows: 20 };

async function partsAgree(name: string, run: (backend: Backend) => Promise<Float32Array>) {
  const whole = await on.webgpu({ shape: SMALL });
  const parts = await on.webgpu({ shape: SMALL, maxBindingBytes: 65536 });
  on.assertSameBits(await run(parts), await run(whole), name);
  for (const b of [whole, parts]) b.close();
}

test("webgpu: a matrix larger than a binding gives the bits of a whole one", async () => {
  for (const [name, n, k] of [["8-bit group 64", 600, 320], ["f16", 301, 256]] as const) {
    for (const rows of [1, 7]) {
      await partsAgree(`${name}, ${rows} rows`, async (backend) => {
        const random = seeded(1), x = on.tensor(backend, rows, k, on.randoms(rows * k, random));
        const w = on.matrix(backend, packedRandom(n, k, on.FORMATS[name]!, random));
        const bias = on.vector(backend, on.randoms(n, random));
        const residual = on.tensor(backend, rows, n, on.randoms(rows * n, random));
        const out = on.tensor(backend, rows, n);
        backend.linear({ x, w, bias, residual, out });
        return await on.read(backend, out);
      });
    }
  }
});

test("webgpu: a vocabulary and a table larger than a binding give the bits of whole ones", async () => {
  const vocab = 1400, d = 128, rows = 3;
  await partsAgree("vocabulary", async (backend) => {
    const random = seeded(2), x = on.tensor(backend, rows, d, on.randoms(rows * d, random));
    const w = on.matrix(backend, packedRandom(vocab, d, on.FORMATS["8-bit group 64"]!, random));
    const ids = on.indices(backend, new Int32Array(rows * 4));
    const logProbs = on.tensor(backend, rows, 4), embedded = on.tensor(backend, rows, d);
    backend.vocabTopK({ x, w, candidates: 4, ids, logProbs });
    const chosen = Int32Array.of(0, 777, vocab - 1);
    backend.embed({
      ids: chosen,
      positions: Int32Array.of(0, 1, 2),
      table: w,
      scale: 3,
      positionTable: x,
      out: embedded,
    });
    const found = await backend.readback(ids.buffer, 0, rows * 4 * 4);
    return Float32Array.of(
      ...new Int32Array(found.buffer),
      ...await on.read(backend, logProbs),
      ...await on.read(backend, embedded),
    );
  });
});

test("webgpu: results and the mask may share a buffer", async () => {
  const backend = await on.webgpu(), random = seeded(3), rows = 3, n = 5, d = 16;
  const x = on.tensor(backend, rows, d, on.randoms(rows * d, random));
  const classifier = on.matrix(backend, packedRandom(n, d, on.FORMATS["f32"]!, random));
  const buffer = backend.alloc("results", 256, "activations");
  backend.write(buffer, 0, on.asBytes(Int32Array.of(1, 0, 1)));
  const experts = { buffer, offset: 64 };
  const weights = { buffer, offset: 128, rows, cols: 2 };
  const op = { x, classifier, topK: 2, weighting: "share", experts, weights } as const;
  backend.router({ ...op, mask: { buffer, offset: 0 } });
  const words = new Int32Array((await backend.readback(buffer, 0, 256)).buffer);
  // Choices and faults in one buffer, as a step has them.
  const table = on.indices(backend, Int32Array.of(0, 1, 2, 3, 4).fill(-1));
  const live = on.indices(backend, Int32Array.of(1, 0, 1)), places = on.indices(backend, words);
  const groupStarts = Int32Array.of(0, 1, 2), groupLengths = new Int32Array(rows).fill(1);
  const faults = { buffer, offset: 192 };
  const lookup = { table, places, live, faults, layer: 7, groupStarts, groupLengths };
  backend.router({ ...op, mask: live, lookup });
  const after = new Int32Array((await backend.readback(buffer, 192, 12)).buffer);
  assertEquals([...after], [7, 0, 7]);
  const ids = on.indices(backend, new Int32Array(rows * 2)), apart = on.tensor(backend, rows, 2);
  backend.router({ ...op, experts: ids, weights: apart });
  const expected = new Int32Array((await backend.readback(ids.buffer, 0, rows * 2 * 4)).buffer);
  assertEquals([...words.subarray(16, 18)], [...expected.subarray(0, 2)]);
  assertEquals([...words.subarray(18, 20)], [0, 0]);
  assertEquals([...words.subarray(20, 22)], [...expected.subarray(4, 6)]);
  backend.close();
});

test("webgpu: more calls and indices than one submission holds run in order", async () => {
  const backend = await on.webgpu(), d = 64, mask = new Int32Array(300).fill(1);
  const x = on.tensor(backend, 300, d, new Float32Array(300 * d)), weights = 1 + 2 ** -10;
  const other = on.tensor(backend, 300, 2, new Float32Array(600).fill(weights));
  const add = on.tensor(backend, 600, d, new Float32Array(600 * d).fill(1));
  const before = backend.counters().submits;
  for (let i = 0; i < 2500; i++) {
    const op = { expertOut: add, weights: other, topK: 2, scale: 1, residual: x, out: x } as const;
    backend.combine({ ...op, mask });
  }
  const values = await on.read(backend, x);
  assert(values.every((v) => v === 2500 * 2 * weights), `${values[0]}`);
  assert(backend.counters().submits - before >= 3);
  backend.close();
});

test("webgpu: much work goes in several submissions, with the bits of one", async () => {
  const d = 64, rows = 40, experts = 3;
  const run = async (maxProducts: number) => {
    const opened = await openDevice(), ledger = new Ledger({ gpuBytes: 2 ** 28, hostBytes: 0 });
    const backend = await createWebGpuBackend({ ledger, opened, maxProducts }), random = seeded(9);
    backend.prepare(on.SHAPE);
    const w = on.matrix(backend, packedRandom(d, d, on.FORMATS["2-bit group 64"]!, random));
    const x = on.tensor(backend, rows, d, on.randoms(rows * d, random));
    const between = on.tensor(backend, rows, d), out = on.tensor(backend, rows, d);
    const before = backend.counters().submits;
    for (let i = 0; i < experts; i++) {
      backend.linear({ x: i === 0 ? x : out, w, out: between });
      backend.linear({ x: between, w, out });
    }
    const values = await on.read(backend, out), submits = backend.counters().submits - before;
    backend.close();
    return { values, submits };
  };
  const one = await run(1e12), several = await run(2 * rows * d * d);
  assertEquals([one.submits, several.submits], [1, 3]);
  assertEquals(several.values, one.values);
});

test("webgpu: readbacks of any length and place, both ways, several at once", async () => {
  for (const synchronousReadback of [false, true]) {
    const ledger = new Ledger({ gpuBytes: 2 ** 24, hostBytes: 0 });
    const opened = await on.sharedDevice();
    const backend = await createWebGpuBackend({
      ledger,
      opened,
      keepDevice: true,
      synchronousReadback,
    });
    const bytes = Uint8Array.from({ length: 3 * STAGING_BYTES }, (_, i) => i * 7 + (i >> 8));
    const buffer = backend.alloc("bytes", bytes.length, "staging");
    backend.write(buffer, 0, bytes);
    const ranges = [[0, bytes.length], [1, 5], [STAGING_BYTES - 3, STAGING_BYTES + 7], [4, 0]];
    const found = await Promise.all(ranges.map(([at, n]) => backend.readback(buffer, at!, n!)));
    found.forEach((got, i) => {
      const [at, n] = ranges[i]!;
      assertEquals(got, bytes.slice(at, at! + n!), `${n} bytes at ${at}`);
    });
    for (let i = 0; i < 50; i++) {
      backend.write(buffer, 4 * i, Uint8Array.of(i, i, i, i));
      assertEquals((await backend.readback(buffer, 4 * i, 1))[0], i);
    }
    backend.close();
    assertEquals(ledger.snapshot().gpu.usedBytes, 0);
  }
});

test("webgpu: the ledger is asked, refuses, and gets back what is freed", async () => {
  const ledger = new Ledger({ gpuBytes: 2 ** 22, hostBytes: 0 });
  const backend = await createWebGpuBackend({
    ledger,
    opened: await on.sharedDevice(),
    keepDevice: true,
  });
  const used = ledger.snapshot().gpu.usedBytes, left = ledger.left("gpu");
  const a = backend.alloc("a", 2 ** 20, "trunk");
  assertEquals(ledger.snapshot().gpu.lines.trunk, 2 ** 20);
  const error = assertThrows(() => backend.alloc("b", left, "kv"), MoqeError, "for b");
  assertEquals(error.code, "over_budget");
  backend.free(a);
  assertEquals(ledger.snapshot().gpu.usedBytes, used);
  assertThrows(() => backend.free(a), RangeError, "not yet freed");
  assertThrows(() => backend.write(a, 0, new Uint8Array(4)), RangeError, "freed");
  backend.close();
  assertEquals(ledger.snapshot().gpu.usedBytes, 0);
});

test("webgpu: input that would end the process is refused", async () => {
  const backend = await on.webgpu();
  const a = backend.alloc("a", 100, "staging"), b = backend.alloc("b", 100, "staging");
  assert((await backend.readback(a, 0, 100)).every((byte) => byte === 0));
  assertThrows(() => backend.write(a, 96, new Uint8Array(8)), RangeError, "inside");
  assertThrows(() => backend.write(a, 2, new Uint8Array(4)), RangeError, "multiples of 4");
  assertThrows(() => backend.write(a, 0, new Uint8Array(3)), RangeError, "multiples of 4");
  assertThrows(() => backend.copy(a, 0, a, 4, 8), RangeError, "overlap");
  assertThrows(() => backend.copy(a, 96, b, 0, 8), RangeError, "inside");
  await assertRejects(() => backend.readback(a, 97, 4), RangeError, "inside");
  backend.write(a, 8, Uint8Array.of(1, 2, 3, 4));
  backend.copy(a, 8, a, 20, 4);
  backend.copy(a, 20, b, 4, 4);
  assertEquals([...await backend.readback(b, 3, 6)], [0, 1, 2, 3, 4, 0]);
  const huge = on.webgpu({ gpuBytes: 2 ** 40 });
  const tooLarge = await huge.then((h) =>
    assertThrows(() => h.alloc("huge", 2 ** 39, "trunk"), MoqeError, "buffers have at most")
  );
  assertEquals(tooLarge.code, "unsupported");
  (await huge).close();
  backend.close();
});

test("webgpu: a refused command is told by the next readback, and from then on", async () => {
  const opened = await on.sharedDevice();
  const backend = await on.webgpu(), x = on.tensor(backend, 1, 4);
  opened.device.createBuffer({ size: 2 ** 45, usage: GPUBufferUsage.STORAGE });
  const error = await assertRejects(() => on.read(backend, x), MoqeError, "refused a command");
  assertEquals(error.code, "unavailable");
  assertEquals(await backend.lost, error);
  assertThrows(() => backend.alloc("more", 4, "trunk"), MoqeError, "refused a command");
  backend.close();
  // The device itself is whole: another backend runs on it.
  const next = await on.webgpu(), y = on.tensor(next, 1, 4, new Float32Array(4).fill(2));
  assertEquals([...await on.read(next, y)], [2, 2, 2, 2]);
  next.close();
});

test("webgpu: a lost device is told, whatever was under way, and gives its reservations back", async () => {
  const ledger = new Ledger({ gpuBytes: 2 ** 26, hostBytes: 0 }), opened = await openDevice();
  const backend = await createWebGpuBackend({ ledger, opened });
  backend.prepare(on.SHAPE);
  const x = on.tensor(backend, 2, 64, on.randoms(128, seeded(4)));
  const w = on.matrix(backend, packedRandom(8, 64, on.FORMATS["f16"]!, seeded(5)));
  const out = on.tensor(backend, 2, 8);
  backend.linear({ x, w, out });
  await on.read(backend, out);
  backend.linear({ x, w, out });
  opened.device.destroy();
  const error = await assertRejects(() => on.read(backend, out), MoqeError);
  assertEquals(error.code, "unavailable");
  assertEquals((await backend.lost).code, "unavailable");
  assertThrows(() => backend.linear({ x, w, out }), MoqeError, "the device was lost");
  await assertRejects(() => on.read(backend, out), MoqeError, "the device was lost");
  backend.close();
  assertEquals(ledger.snapshot().gpu.usedBytes, 0);
});

test("webgpu: the readback's self-test is run in a child once, and remembered", async () => {
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" }), file = `${folder}/state/a.json`;
  try {
    const works = await syncReadbackWorks("this adapter", file);
    const kept = JSON.parse(await Deno.readTextFile(file));
    assertEquals(Object.values(kept), [works]);
    const [key] = Object.keys(kept);
    await Deno.writeTextFile(file, JSON.stringify({ [key!]: !works }));
    assertEquals(await syncReadbackWorks("this adapter", file), !works);
    await Deno.writeTextFile(file, "not JSON");
    assertEquals(await syncReadbackWorks("this adapter", file), works);
    await Deno.remove(file);
    // What could not be tried is not known.
    const module = new URL("../../src/backend/webgpu/sync_readback.ts", import.meta.url).href;
    const script = `${folder}/without_run.ts`;
    await Deno.writeTextFile(
      script,
      `import { syncReadbackWorks } from "${module}";
      console.log(await syncReadbackWorks("this adapter", ${JSON.stringify(file)}));`,
    );
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-read", "--allow-write", "--allow-env", script],
    }).output();
    assertEquals(new TextDecoder().decode(stdout).trim(), "false");
    await assertRejects(() => Deno.stat(file), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("webgpu: a machine without an adapter is told what to do", async () => {
  const module = new URL("../../src/backend/webgpu/adapter.ts", import.meta.url).href;
  const code = `const { openDevice } = await import("${module}");
    await openDevice().catch((e) => console.log(e.code + ": " + e.message));`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", code],
    env: { VK_DRIVER_FILES: "/nonexistent", VK_ICD_FILENAMES: "/nonexistent" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert(text.startsWith("unavailable: cannot start on webgpu"), text);
  assert(text.includes("--device cpu"), text);
});
