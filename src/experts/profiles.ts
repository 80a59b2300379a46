/**
 * Profiles: which experts a language uses, by layer. `profiles.json` lies beside the manifest; what service learns is
 * kept in local state in the same form. A profile is a hint: it decides what is fetched early and kept, never a result.
 */
import { z } from "zod";
import { MoqeError } from "../base/errors.ts";
import type { Stack } from "../base/plan.ts";
import type { PolicyLayer } from "./contract.ts";
import type { Prior } from "./policy/usage.ts";
import { firstKeys, type Trace } from "./trace.ts";

export const PROFILES_NAME = "profiles.json";

/** Chances are written in thousandths of a percent: an expert used once in many visits is still more than none. */
const SCALE = 100_000;
/** What service learned counts for more the longer it ran, up to this many visits a layer. */
const MOST_VISITS = 5000;

const language = z.strictObject({
  /** Visits of a layer behind the chances. */
  visits: z.number().int().nonnegative(),
  /** By layer of the stack: for each expert the chance that a visit uses it, times SCALE. */
  chances: z.array(z.array(z.number().int().min(0).max(SCALE)).max(65536)).max(4096),
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
  model: { layers: readonly PolicyLayer[]; routers?: string | undefined },
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

/** The profiles that a trace of single sentences shows. */
export function profilesOf(trace: Trace, routers: string): Profiles {
  const profiles = noProfiles(routers);
  const counts = new Map<string, { visits: Float64Array; uses: Float64Array[] }>();
  let sentence = { source: "", target: "" };
  for (const v of trace.visits) {
    sentence = v.sentence ?? sentence;
    const { stack } = trace.layers[v.layer]!;
    const code = stack === "encoder" ? sentence.source : sentence.target;
    const id = `${stack} ${code}`;
    let seen = counts.get(id);
    if (seen === undefined) {
      seen = {
        visits: new Float64Array(trace.layers.length),
        uses: trace.layers.map((l) => new Float64Array(l.count)),
      };
      counts.set(id, seen);
    }
    seen.visits[v.layer]!++;
    for (const e of v.experts) seen.uses[v.layer]![e]!++;
  }
  for (const [id, { visits, uses }] of counts) {
    const [stack, code] = id.split(" ") as [Stack, string];
    const own = trace.layers.flatMap((l, i) => l.stack === stack ? [i] : []);
    profiles[stack][code] = {
      visits: Math.max(...own.map((i) => visits[i]!)),
      chances: own.map((i) => scaled(uses[i]!, Math.max(1, visits[i]!))),
    };
  }
  return profiles;
}

/** Two profiles of one model as one: each language's chances by how much each has seen of it. */
export function mergeProfiles(published: Profiles, learned: Profiles): Profiles {
  const merged = noProfiles(published.routers);
  for (const stack of ["encoder", "decoder"] as const) {
    const codes = new Set([...Object.keys(published[stack]), ...Object.keys(learned[stack])]);
    for (const code of codes) {
      const a = published[stack][code], b = learned[stack][code];
      merged[stack][code] = a === undefined || b === undefined ? (a ?? b)! : mix(a, b);
    }
  }
  return merged;
}

/** What a policy starts from. */
export function priorOf(profiles: Profiles, layers: readonly PolicyLayer[]): Prior {
  const first = firstKeys(layers);
  return (stack, code) => {
    const profile = profiles[stack][code];
    if (profile === undefined) return undefined;
    const all = new Float32Array(first.at(-1)!);
    const own = layers.flatMap((l, i) => l.stack === stack ? [i] : []);
    own.forEach((layer, at) => {
      profile.chances[at]!.forEach((c, e) => all[first[layer]! + e] = c / SCALE);
    });
    return all;
  };
}

/** Chances that a policy learned, as a profile. `chances` is [experts of the model]. */
export function learnedProfile(
  layers: readonly PolicyLayer[],
  stack: Stack,
  learned: { chances: Float32Array; visits: number },
): LanguageProfile {
  const first = firstKeys(layers);
  const own = layers.flatMap((l, i) => l.stack === stack ? [i] : []);
  return {
    visits: learned.visits,
    chances: own.map((i) => scaled(learned.chances.subarray(first[i]!, first[i + 1]!), 1)),
  };
}

function scaled(values: Float64Array | Float32Array, by: number): number[] {
  return Array.from(values, (v) => Math.min(SCALE, Math.max(0, Math.round(SCALE * v / by))));
}

function mix(a: LanguageProfile, b: LanguageProfile): LanguageProfile {
  const na = Math.min(a.visits, MOST_VISITS), nb = Math.min(b.visits, MOST_VISITS);
  const of = (x: number, y: number) => Math.round((x * na + y * nb) / Math.max(1, na + nb));
  return {
    visits: na + nb,
    chances: a.chances.map((layer, l) => layer.map((x, e) => of(x, b.chances[l]![e]!))),
  };
}
