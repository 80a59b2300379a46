/** The packing process of tests/manual/pack_8gb.ts: ADDRESS OUT. */
import { architectureOf } from "../../src/arch/registry.ts";
import { formatSeconds } from "../../src/base/units.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { journalFor } from "../../src/pack/journal.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { openWritableStore } from "../../src/store/open.ts";
import { TEST_PACK } from "./pack_options.ts";

const [address, out] = Deno.args as [string, string];
const checkpoint = await openCheckpoint(address);
const { plan } = architectureOf(checkpoint.texts.config).read(checkpoint.texts.config);
const { objectBytes: _, ...options } = TEST_PACK;
let shownMs = 0;
const store = openWritableStore(out);
const report = await packCheckpoint(checkpoint, plan, store, {
  ...options,
  journal: journalFor(store),
}, ({ what, doneBytes, totalBytes, secondsLeft }) => {
  if (performance.now() - shownMs < 10_000) return;
  shownMs = performance.now();
  const share = (100 * doneBytes / totalBytes).toFixed(1);
  console.error(`${share} % ${what}, ${formatSeconds(secondsLeft ?? NaN)} left`);
});
console.error(`resumed ${report.resumedBlocks} blocks`);
