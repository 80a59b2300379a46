/** One system of the table as a packed model in a folder. */
import type { System } from "./systems.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** Packs `system` for `pairs` into `out`, which is made anew. Throws Error with what `moqe pack` said. */
export async function packSystem(
  system: System,
  checkpoint: string,
  out: string,
  { pairs, calibration }: { pairs: readonly string[]; calibration: string | undefined },
): Promise<void> {
  await Deno.remove(out, { recursive: true }).catch(() => {});
  const flags = system.flags.map((f) => f === "CALIBRATION" ? calibration! : f);
  const own = ["--pairs", pairs.join(), "--licence", "CC-BY-SA-4.0", "--name", system.id];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAIN, "pack", checkpoint, out, ...own, ...flags],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`${system.id}: ${new TextDecoder().decode(stderr)}`);
}
