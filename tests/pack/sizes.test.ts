/** Sizes by part, from a plan alone. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { nllbMoe } from "../../src/arch/nllb_moe.ts";
import { type PartSize, planSizes } from "../../src/pack/sizes.ts";
import type { PackWidths } from "../../src/pack/widths.ts";
import { NLLB_MOE_54B } from "../support/nllb_54b.ts";

const { plan } = nllbMoe.read(NLLB_MOE_54B);
const sizes = (widths: PackWidths) =>
  Object.fromEntries(planSizes(plan, widths).map((s) => [s.part, s])) as Record<string, PartSize>;

Deno.test("NLLB-MoE-54B with a 4-bit trunk is at least 85 % smaller than fp16", () => {
  const s = sizes({ experts: { bits: 2 }, trunk: { bits: 4 }, embedding: { bits: 4 } });
  assertEquals(s.experts!.weights, 1536 * 33_564_672);
  assertEquals(s.experts!.packedBytes / 1536, 9_478_144, "a block of 9.48 MB");
  assertAlmostEquals(s.embedding!.weights / 1e9, 0.525, 0.001);
  assertAlmostEquals(s.attention!.weights / 1e9, 1.209, 0.001);
  assertAlmostEquals(s.dense_ffn!.weights / 1e9, 1.208, 0.001);
  assertAlmostEquals(s.total!.weights / 1e9, 54.5, 0.01);
  assert(s.total!.saved >= 0.85, `${s.total!.saved}`);
  assertEquals(s.lm_head!.packedBytes, 0);
});

Deno.test("parts add up, and a lm_head of its own width costs bytes but adds no weights", () => {
  const widths = {
    experts: { bits: 2, group: 0 },
    trunk: { bits: 8 },
    embedding: { bits: 8 },
  } as const;
  const shared = sizes(widths);
  const apart = sizes({ ...widths, lmHead: { bits: 4 } });
  assertEquals(apart.total!.weights, shared.total!.weights);
  assertEquals(apart.lm_head!.weights, 0);
  assertEquals(apart.total!.packedBytes, shared.total!.packedBytes + apart.lm_head!.packedBytes);
  assertAlmostEquals(shared.experts!.packedBytes / 1e9, 12.95, 0.03);
});
