/** A pack that is killed again and again ends with the same bytes as one that is not. */
import { assert, assertEquals } from "@std/assert";
import { JOURNAL_NAME } from "../../src/pack/journal.ts";
import { goldenFolder } from "../support/golden.ts";
import { contents } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

const CHILD = new URL("../support/pack_child.ts", import.meta.url).pathname;

function child(out: string): Deno.ChildProcess {
  const args = ["run", "--no-check", "-A", CHILD, goldenFolder("every_layer"), out];
  return new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "inherit" }).spawn();
}

async function finish(out: string): Promise<string> {
  const { stdout, success } = await child(out).output();
  assert(success);
  return new TextDecoder().decode(stdout);
}

/** Kills a pack `afterMs` after its work began; true where that was before its end. */
async function kill(out: string, afterMs: number): Promise<boolean> {
  const process = child(out);
  const reader = process.stdout.getReader();
  await reader.read();
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  try {
    process.kill("SIGKILL");
  } catch { /* it has ended */ }
  reader.releaseLock();
  await process.stdout.cancel();
  return !(await process.status).success;
}

Deno.test("kill -9 at random moments, then again: the same files, to the byte", async () => {
  using whole = temporaryFolder();
  using broken = temporaryFolder();
  await finish(whole.path);
  let kills = 0;
  for (let i = 0; i < 5; i++) {
    // The first is early enough to hit for certain; the others fall anywhere, also after the end.
    if (await kill(broken.path, 20 + (i === 0 ? 0 : Math.random() * 250))) kills++;
  }
  // What a kill in the middle of a write leaves, for certain.
  Deno.writeTextFileSync(`${broken.path}/.moqe-tmp-${"0".repeat(64)}.moqe`, "half");
  const said = await finish(broken.path);
  assert(kills >= 1, "no kill came in time");
  const files = contents(broken.path);
  files.delete(`.moqe-tmp-${"0".repeat(64)}.moqe`);
  assert(/resumed \d+/.test(said));
  assert(!files.has(JOURNAL_NAME));
  assertEquals(files, contents(whole.path));
});
