/** Flags of `deno task bench`. */
import { choice, duration, int, optionalText } from "../../src/base/config.ts";
import { engineFlags } from "../../src/cli/flags.ts";

/** Benchmarks. */
export const benchFlags = {
  only: choice(
    ["all", "kernels", "steps", "end-to-end", "tiles"],
    "all",
    "which part to measure; steps and tiles: on a GPU alone, tiles only when asked for",
  ),
  trace: optionalText("FILE", "cache: the routing trace to replay; generated ones unless given"),
  profile: optionalText("FILE", "cache: profiles that the policy may start from"),
  timeEach: duration("400ms", "time for each kernel figure"),
  rounds: int(3, { min: 1, max: 1000 }, "rounds over the sentences, end to end"),
  ...engineFlags,
};
