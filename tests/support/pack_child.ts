/** Packs a checkpoint in a process of its own, to be killed: CHECKPOINT OUT. Slowed so that a kill hits work. */
import { nllbMoe } from "../../src/arch/nllb_moe.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { JOURNAL_NAME, journalAt } from "../../src/pack/journal.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { TEST_PACK } from "./pack_options.ts";

const [source, out] = Deno.args as [string, string];
const checkpoint = await openCheckpoint(source);
const { plan } = nllbMoe.read(checkpoint.texts.config);
console.log("started");
const report = await packCheckpoint(checkpoint, plan, new FileStore(out), {
  ...TEST_PACK,
  journal: journalAt(`${out}/${JOURNAL_NAME}`),
}, () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
});
console.log(`resumed ${report.resumedBlocks}`);
