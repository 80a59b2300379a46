/**
 * Profiles: which experts a language uses, by layer. `profiles.json` lies beside the manifest; what service learns is
 * kept in local state in the same form. A profile is a hint: it decides what is fetched early and kept, never a result.
 */
import type { Stack } from "../base/plan.ts";
import {
  CHANCE_SCALE,
  type LanguageProfile,
  noProfiles,
  type Profiles,
} from "../store/profiles.ts";
import type { PolicyLayer } from "./contract.ts";
import type { Prior } from "./policy/usage.ts";
import { firstKeys, type Trace } from "./trace.ts";

/** What service learned counts for more the longer it ran, up to this many visits a layer. */
const MOST_VISITS = 5000;

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
      profile.chances[at]!.forEach((c, e) => all[first[layer]! + e] = c / CHANCE_SCALE);
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
  return Array.from(
    values,
    (v) => Math.min(CHANCE_SCALE, Math.max(0, Math.round(CHANCE_SCALE * v / by))),
  );
}

function mix(a: LanguageProfile, b: LanguageProfile): LanguageProfile {
  const na = Math.min(a.visits, MOST_VISITS), nb = Math.min(b.visits, MOST_VISITS);
  const of = (x: number, y: number) => Math.round((x * na + y * nb) / Math.max(1, na + nb));
  return {
    visits: na + nb,
    chances: a.chances.map((layer, l) => layer.map((x, e) => of(x, b.chances[l]![e]!))),
  };
}
