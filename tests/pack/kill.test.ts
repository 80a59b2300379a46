/** A pack that is killed again and again ends with the same bytes as one that is not. */
import { assert, assertEquals } from "@std/assert";
import { JOURNAL_NAME } from "../../src/pack/journal.ts";
import { contents } from "../support/packed.ts";
import { finishPack, killPack } from "../support/killed_pack.ts";
import { temporaryFolder } from "../support/safetensors.ts";

Deno.test("kill -9 at random moments, then again: the same files, to the byte", async () => {
  using whole = temporaryFolder();
  using broken = temporaryFolder();
  await finishPack(whole.path);
  let kills = 0;
  for (let i = 0; i < 5; i++) {
    // The first is early enough to hit for certain; the others fall anywhere, also after the end.
    const afterMs = 20 + (i === 0 ? 0 : Math.random() * 250);
    const moment = () => new Promise<void>((resolve) => setTimeout(resolve, afterMs));
    if (await killPack(broken.path, moment)) kills++;
  }
  // What a kill in the middle of a write leaves, for certain.
  Deno.writeTextFileSync(`${broken.path}/.moqe-tmp-${"0".repeat(64)}.moqe`, "half");
  const said = await finishPack(broken.path);
  assert(kills >= 1, "no kill came in time");
  const files = contents(broken.path);
  files.delete(`.moqe-tmp-${"0".repeat(64)}.moqe`);
  assert(/resumed \d+/.test(said));
  assert(!files.has(JOURNAL_NAME));
  assertEquals(files, contents(whole.path));
});
