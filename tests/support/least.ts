/** The least budgets, as the program names them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { moqe } from "../cli/moqe.ts";

/** Starts the service with too little of a budget, 1 MiB unless said; the least that its one message names, in MiB. */
export async function leastOf(
  budget: "gpu" | "host",
  flags: string[],
  tooLittle = 1,
): Promise<number> {
  const asked = [`--${budget}-memory`, `${tooLittle}MiB`];
  const { code, err } = await moqe(["serve", "--port", "0", ...flags, ...asked]);
  assertEquals(code, 1);
  assertEquals(err.trim().split("\n").length, 1, `one message, not more: ${err}`);
  assertStringIncludes(err, `--${budget}-memory ${tooLittle.toFixed(2)} MiB`);
  const named = new RegExp(`give it --${budget}-memory (\\d+)MiB or more`).exec(err);
  assert(named !== null, `no least budget in: ${err}`);
  return Number(named[1]);
}
