/** deno task bench, as a program. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { BENCH_CHILD, type BenchAsk, type BenchFigure } from "../../tools/bench/ask.ts";
import type { Ended } from "../cli/moqe.ts";

const MAIN = new URL("../../tools/bench/main.ts", import.meta.url).pathname;
const SHIPPED = new URL("../../models/tiny-en-de-fr-es", import.meta.url).pathname;
const MIB = 1024 ** 2;

async function bench(args: string[], input = ""): Promise<Ended> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAIN, ...args],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("cache replays a trace against every policy and MIN", async () => {
  const trace = new URL("../bench/traces/shuf4b8.gz", import.meta.url).pathname;
  const { code, out, err } = await bench(["cache", "--trace", trace]);
  assertEquals(code, 0, err);
  for (const policy of ["lru", "lfu", "lfru", "horizon", "min"]) {
    assertEquals(out.match(new RegExp(` ${policy} `, "g"))?.length, 4, policy);
  }
});

Deno.test("kernels are measured, and a wrong word is told", async () => {
  const { code, out, err } = await bench(["--only", "kernels", "--time-each", "1ms"]);
  assertEquals(code, 0, err);
  assertStringIncludes(out, "logical processors");
  assertStringIncludes(out, "GFLOP/s");
  const wrong = await bench(["memory"]);
  assertEquals(wrong.code, 2);
  assertStringIncludes(wrong.err, "deno task bench --help");
});

Deno.test("a measuring process translates and counts", async () => {
  const ask: BenchAsk = {
    engine: {
      model: SHIPPED,
      device: "cpu",
      gpuMemory: 256 * MIB,
      hostMemory: 512 * MIB,
      threads: 1,
      maxBatchTokens: 512,
      maxQueue: 64,
      maxSourceTokens: 128,
    },
    batch: 16,
    beams: 1,
    rounds: 1,
  };
  const { code, out, err } = await bench([BENCH_CHILD], JSON.stringify(ask));
  assertEquals(code, 0, err);
  const figure: BenchFigure = JSON.parse(out);
  assert(figure.tokens > 100);
  assert(figure.experts > 0);
});
