/** deno task bench: what this machine does, as tables. A process of its own for each figure end to end. */
import { defineCommand } from "../../src/cli/command.ts";
import { runProgram } from "../../src/cli/program.ts";
import { BENCH_CHILD } from "./ask.ts";
import { answerBenchAsk } from "./child.ts";
import { benchFlags } from "./flags.ts";

const BENCH = defineCommand({
  program: "deno task",
  name: "bench",
  summary: "measure kernels and translations on this machine",
  details: [
    "deno task bench cache --trace FILE replays a routing trace against LRU, LFU, LFRU, our own policy and the best possible.",
  ],
  positionals: [{ name: "cache", help: "cache policies instead", optional: true }],
  flags: benchFlags,
  load: async () => (await import("./bench.ts")).bench,
});

if (Deno.args[0] === BENCH_CHILD) await answerBenchAsk();
else Deno.exit(await runProgram([BENCH.name, ...Deno.args], [BENCH]));
