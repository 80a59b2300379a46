/** profiles.json: which experts each language uses; its schema and its checks against a model. */
import { z } from "zod";
import { MoqeError } from "../base/errors.ts";
import type { Stack } from "../base/plan.ts";

/** Beside the manifest. */
export const PROFILES_NAME = "profiles.json";

/** Chances are written in thousandths of a percent: an expert used once in many visits is still more than none. */
export const CHANCE_SCALE = 100_000;
const language = z.strictObject({
  /** Visits of a layer behind the chances. */
  visits: z.number().int().nonnegative(),
  /** By layer of the stack: for each expert the chance that a visit uses it, times CHANCE_SCALE. */
  chances: z.array(z.array(z.number().int().min(0).max(CHANCE_SCALE)).max(65536)).max(4096),
});

const schema = z.strictObject({
  format: z.literal("moqe-profiles"),
  version: z.literal(1),
  /** Hash of the routers' weights that chose. */
  routers: z.string(),
  encoder: z.record(z.string(), language),
  decoder: z.record(z.string(), language),
});

/** Encoder profiles by source language, decoder profiles by target language. */
export type Profiles = z.infer<typeof schema>;
export type LanguageProfile = z.infer<typeof language>;

/** No language at all. */
export function noProfiles(routers: string): Profiles {
  return { format: "moqe-profiles", version: 1, routers, encoder: {}, decoder: {} };
}

/** Reads profiles. Throws MoqeError `corrupt` for what is not of the model: its layers, and its routers where given. */
export function parseProfiles(
  text: string,
  model: { layers: readonly { stack: Stack; count: number }[]; routers?: string | undefined },
  where: string,
): Profiles {
  const fail = (rule: string, cause?: unknown): never => {
    throw new MoqeError("corrupt", {
      action: `use the profiles of ${where}`,
      rule,
      remedy: "make them again: moqe profile",
      cause,
    });
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    return fail("they are not JSON", cause);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) return fail(parsed.error.issues[0]!.message);
  if (model.routers !== undefined && parsed.data.routers !== model.routers) {
    fail("they were made for other weights");
  }
  for (const stack of ["encoder", "decoder"] as const) {
    const counts = model.layers.filter((l) => l.stack === stack).map((l) => l.count).join();
    for (const [code, { chances }] of Object.entries(parsed.data[stack])) {
      if (chances.map((c) => c.length).join() !== counts) {
        fail(`the ${stack}'s of ${code} have other layers than the model`);
      }
    }
  }
  return parsed.data;
}
