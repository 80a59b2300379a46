/** Packs in processes of their own that can be killed at any moment. */
import { assert } from "@std/assert";
import { goldenFolder } from "./golden.ts";

const CHILD = new URL("pack_child.ts", import.meta.url).pathname;

function child(out: string, env: Record<string, string> = {}): Deno.ChildProcess {
  const args = ["run", "--no-check", "-A", CHILD, goldenFolder("every_layer"), out];
  return new Deno.Command(Deno.execPath(), { args, env, stdout: "piped", stderr: "inherit" })
    .spawn();
}

/** Packs to the end; what the process said. */
export async function finishPack(out: string, env?: Record<string, string>): Promise<string> {
  const { stdout, success } = await child(out, env).output();
  assert(success);
  return new TextDecoder().decode(stdout);
}

/** Kills a pack at a moment after its work began; true where that was before its end. */
export async function killPack(
  out: string,
  moment: () => Promise<void>,
  env?: Record<string, string>,
): Promise<boolean> {
  const process = child(out, env);
  const reader = process.stdout.getReader();
  await reader.read();
  await moment();
  try {
    process.kill("SIGKILL");
  } catch { /* it has ended */ }
  reader.releaseLock();
  await process.stdout.cancel();
  return !(await process.status).success;
}
