/** Packs golden checkpoints for tests. */
import { nllbMoe } from "../../src/arch/nllb_moe.ts";
import type { ModelPlan } from "../../src/base/plan.ts";
import type { Checkpoint } from "../../src/checkpoint/contract.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { PackOptions } from "../../src/pack/options.ts";
import { packCheckpoint, type PackReport } from "../../src/pack/pack.ts";
import type { WritableStore } from "../../src/store/contract.ts";
import { goldenFolder } from "./golden.ts";
import { TEST_PACK } from "./pack_options.ts";

/** Opens a golden checkpoint with its plan. The caller closes its weights. */
export async function openGolden(
  name: string,
  address = goldenFolder(name),
): Promise<{ checkpoint: Checkpoint; plan: ModelPlan }> {
  const checkpoint = await openCheckpoint(address);
  return { checkpoint, plan: nllbMoe.read(checkpoint.texts.config).plan };
}

export async function packGolden(
  name: string,
  out: WritableStore,
  options: Partial<PackOptions> = {},
): Promise<PackReport> {
  const { checkpoint, plan } = await openGolden(name);
  try {
    return await packCheckpoint(checkpoint, plan, out, { ...TEST_PACK, ...options });
  } finally {
    checkpoint.weights.close();
  }
}

/** All files of a folder by name. */
export function contents(folder: string): Map<string, Uint8Array> {
  const names = [...Deno.readDirSync(folder)].map((e) => e.name).sort();
  return new Map(names.map((n) => [n, Deno.readFileSync(`${folder}/${n}`)]));
}
