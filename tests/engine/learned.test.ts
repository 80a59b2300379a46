/** What is learned of languages stays, whatever later runs translate. */
import { assertEquals } from "@std/assert";
import type { ModelPlan } from "../../src/base/plan.ts";
import { Learned } from "../../src/engine/learned.ts";
import { Usage } from "../../src/experts/policy/usage.ts";
import type { ObjectStore } from "../../src/store/contract.ts";
import type { Manifest } from "../../src/store/manifest.ts";

const layers = (["encoder", "decoder"] as const).map((stack) => ({
  stack,
  layer: 0,
  count: 4,
  projections: [],
}));
const plan = { expertLayers: layers, tensors: [] } as unknown as ModelPlan;
const manifest = { trunk: [] } as unknown as Manifest;
const store = {
  origin: "a model without profiles",
  readAll: () => Promise.reject(new Error("there are none")),
} as unknown as ObjectStore;

Deno.test("a run keeps what earlier ones learned of other languages, and one that learned nothing all", async () => {
  const folder = await Deno.makeTempDir({ prefix: "moqe-learned-" });
  const open = () => Learned.open(manifest, plan, store, { folder, log: { warn: () => {} } });
  const run = async (pairs: { source: string; target: string }[]) => {
    const learned = await open(), usage = new Usage(layers);
    for (const pair of pairs) {
      usage.languages([pair]);
      for (let i = 0; i < 5; i++) {
        usage.visit(0, new Set([1]));
        usage.visit(1, new Set([2]));
      }
    }
    await learned.save(usage);
    const { profiles } = await open();
    return [Object.keys(profiles.encoder).sort(), Object.keys(profiles.decoder).sort()];
  };
  try {
    const german = { source: "eng_Latn", target: "deu_Latn" };
    assertEquals(await run([german]), [["eng_Latn"], ["deu_Latn"]]);
    const both = [["eng_Latn", "fra_Latn"], ["deu_Latn", "spa_Latn"]];
    assertEquals(await run([{ source: "fra_Latn", target: "spa_Latn" }]), both);
    assertEquals(await run([]), both);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
