/** Work in proportion: the processor time of a text and of one ten times as long. Other processes do not count. */
import process from "node:process";
import { assert } from "@std/assert";

/** Quadratic work takes 100 times as much; a collection of garbage may triple linear work. */
const MOST = 40;
/** Less is noise. */
const LEAST_MS = 5;
/** Quadratic work fails every time, a collection at the wrong moment does not. */
const TRIES = 3;

async function cpuMs(run: () => unknown): Promise<number> {
  const start = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** Asserts that `run` of a text ten times as long as `length` takes no more than MOST times the work. */
export async function assertProportional(
  name: string,
  length: number,
  run: (length: number) => unknown,
): Promise<void> {
  await run(Math.ceil(length / 2));
  const seen: string[] = [];
  for (let i = 0; i < TRIES; i++) {
    const once = await cpuMs(() => run(length)), tenfold = await cpuMs(() => run(10 * length));
    if (tenfold < MOST * Math.max(once, LEAST_MS)) return;
    seen.push(`${once} ms, then ${tenfold} ms`);
  }
  assert(false, `${name}: ${seen.join("; ")}`);
}
