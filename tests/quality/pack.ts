/** One system of the table as a packed model in a folder. */
import { architectureOf } from "../../src/arch/registry.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { type PartError, quantizedPart } from "./parts.ts";
import { PARTS, type System } from "./systems.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const PAIRS = ["eng_Latn-deu_Latn", "eng_Latn-fra_Latn", "eng_Latn-spa_Latn"];

/** Packs `system` into `out`, which is made anew. Answers the part's own weight error where one was quantized. */
export async function packSystem(
  system: System,
  checkpoint: string,
  out: string,
  calibration: string | undefined,
): Promise<PartError | undefined> {
  await Deno.remove(out, { recursive: true }).catch(() => {});
  if (system.part !== undefined) return await packPart(system, checkpoint, out);
  const flags = system.flags.map((f) => f === "CALIBRATION" ? calibration! : f);
  const own = ["--pairs", PAIRS.join(","), "--licence", "CC-BY-SA-4.0", "--name", system.id];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAIN, "pack", checkpoint, out, ...own, ...flags],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`${system.id}: ${new TextDecoder().decode(stderr)}`);
}

async function packPart(system: System, folder: string, out: string): Promise<PartError> {
  const { name, bits } = system.part!;
  const error: PartError = { weights: 0, squaredError: 0, squares: 0 };
  const whole = await openCheckpoint(folder);
  try {
    const { plan } = architectureOf(whole.texts.config).read(whole.texts.config);
    const checkpoint = quantizedPart(whole, PARTS[name], { bits, error });
    await Deno.mkdir(out, { recursive: true });
    await packCheckpoint(checkpoint, plan, new FileStore(out), {
      experts: { bits: 16 },
      trunk: { bits: 16 },
      embedding: { bits: 16 },
      name: system.id,
      pairs: PAIRS,
      licence: { id: "CC-BY-SA-4.0" },
    });
    return error;
  } finally {
    whole.weights.close();
  }
}
