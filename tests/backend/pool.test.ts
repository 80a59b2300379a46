/** Threads change no bit: every format, rows of every path, widths that no share divides. */
import type { Backend, LinearOp } from "../../src/backend/contract.ts";
import { packedRandom, seeded } from "../../tools/twin/packed.ts";
import * as on from "./device.ts";

async function product(backend: Backend, op: Omit<LinearOp, "out">): Promise<Float32Array> {
  const out = on.tensor(backend, op.x.rows, op.w.layout.rows);
  backend.linear({ ...op, out });
  const values = await on.read(backend, out);
  backend.free(out.buffer);
  return values;
}

for (const threads of [2, 3]) {
  Deno.test(`${threads} threads give every product the bits of one`, async () => {
    const one = await on.cpu(), several = await on.cpu({ threads });
    try {
      for (const [name, format] of Object.entries(on.FORMATS)) {
        const random = seeded(21);
        // 1037 rows of weights are no multiple of a share; 17 leave a thread without work.
        for (const [n, k] of [[1037, 200], [17, 1024]] as [number, number][]) {
          const packed = packedRandom(n, k, format, random), bias = on.randoms(n, random);
          for (const rows of [1, 2, 5, 64, 70]) {
            const x = on.randoms(rows * k, random), residual = on.randoms(rows * n, random);
            const run = async (b: Backend) => {
              const tensors = [on.tensor(b, rows, k, x), on.tensor(b, rows, n, residual)] as const;
              const op = {
                w: on.matrix(b, packed),
                bias: on.vector(b, bias),
                activation: "relu",
              } as const;
              const values = await product(b, { ...op, x: tensors[0], residual: tensors[1] });
              for (const t of [...tensors, op.w, op.bias]) b.free(t.buffer);
              return values;
            };
            on.assertSameBits(await run(several), await run(one), `${name} [${rows}, ${n}, ${k}]`);
          }
        }
      }
    } finally {
      one.close();
      several.close();
    }
  });
}

Deno.test("threads that are kept from their processors change no bit and lose no part", async () => {
  const spin = URL.createObjectURL(
    new Blob(["postMessage(0); for (;;) Math.random()"], { type: "text/javascript" }),
  );
  const hogs = Array.from({ length: 2 * navigator.hardwareConcurrency }, () => {
    return new Worker(spin, { type: "module" });
  });
  await Promise.all(hogs.map((w) => new Promise((resolve) => w.onmessage = resolve)));
  const one = await on.cpu(), several = await on.cpu({ threads: 3 });
  try {
    const random = seeded(7);
    const packed = packedRandom(512, 256, on.FORMATS["2-bit group 64"]!, random);
    const x = on.randoms(256, random);
    const run = (b: Backend, w: LinearOp["w"]) => product(b, { w, x: on.tensor(b, 1, 256, x) });
    const wanted = await run(one, on.matrix(one, packed));
    const w = on.matrix(several, packed);
    for (let round = 0; round < 300; round++) {
      on.assertSameBits(await run(several, w), wanted, `round ${round}`);
    }
  } finally {
    for (const w of hogs) w.terminate();
    URL.revokeObjectURL(spin);
    one.close();
    several.close();
  }
});
