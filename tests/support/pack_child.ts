/** Packs a checkpoint in a process of its own, to be killed: CHECKPOINT OUT. Slowed so that a kill hits work. */
import { nllbMoe } from "../../src/arch/nllb_moe.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { journalFor } from "../../src/pack/journal.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { openWritableStore } from "../../src/store/open.ts";
import { TEST_PACK } from "./pack_options.ts";

const [source, out] = Deno.args as [string, string];
const checkpoint = await openCheckpoint(source);
const { plan } = nllbMoe.read(checkpoint.texts.config);
console.log("started");
const store = openWritableStore(out);
const report = await packCheckpoint(checkpoint, plan, store, {
  ...TEST_PACK,
  journal: journalFor(store),
}, () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
});
console.log(`resumed ${report.resumedBlocks}`);
