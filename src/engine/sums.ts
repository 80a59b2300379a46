/** What several models are and count together. */
import type { EngineStats, ModelInfo } from "./protocol.ts";

/** Between names and licences. */
const AND = " + ";

/** One description of all: every pair once, the least of each limit. */
export function infoOfAll(infos: readonly ModelInfo[]): ModelInfo {
  const joined = (of: (info: ModelInfo) => string) => [...new Set(infos.map(of))].join(AND);
  const least = (of: "maxSourceTokens" | "maxTargetTokens" | "maxQueue") =>
    Math.min(...infos.map((i) => i.limits[of]));
  const contexts = infos.flatMap((i) => i.limits.maxContextTokens ?? []);
  const texts = [...new Set(infos.flatMap(({ licence }) => licence.text ?? []))];
  const pairs = new Map(
    infos.flatMap((i) => i.pairs).map((p) => [`${p.source} ${p.target}`, p]),
  );
  return {
    name: joined((i) => i.name),
    modelType: joined((i) => i.modelType),
    pairs: [...pairs.values()],
    licence: {
      id: joined((i) => i.licence.id),
      ...texts.length > 0 && { text: texts.join("\n\n") },
    },
    provenance: {
      checkpoint: joined((i) => i.provenance.checkpoint),
      quantizer: joined((i) => i.provenance.quantizer),
      packer: joined((i) => i.provenance.packer),
    },
    device: joined((i) => i.device),
    batchInvariant: infos.every((i) => i.batchInvariant),
    limits: {
      maxSourceTokens: least("maxSourceTokens"),
      maxTargetTokens: least("maxTargetTokens"),
      maxQueue: least("maxQueue"),
      ...contexts.length > 0 ? { maxContextTokens: Math.min(...contexts) } : {},
    },
  };
}

/** Counts and bytes of all added up; layers one model after the other, called by its name, as wide slots as any has. */
export function statsOfAll(all: readonly EngineStats[], names: readonly string[]): EngineStats {
  const named = all.map((stats, i): EngineStats => {
    const { heat } = stats.experts;
    const layers = heat.layers.map((l) => ({ ...l, stack: `${names[i]} ${l.stack}` }));
    return { ...stats, experts: { ...stats.experts, heat: { ...heat, layers } } };
  });
  const sum = added(named);
  sum.experts.slotBytes = Math.max(...all.map((s) => s.experts.slotBytes));
  return sum;
}

/** Values of one shape as one: numbers are added, lists put end to end, what only some have is theirs. */
function added<T>(values: readonly T[]): T {
  const there = values.filter((v) => v !== undefined && v !== null);
  const [first] = there;
  if (typeof first === "number") {
    return (there as number[]).reduce((sum, n) => sum + n, 0) as T;
  }
  if (Array.isArray(first)) return there.flat() as T;
  if (typeof first !== "object" || first === null) return first as T;
  const keys = new Set(there.flatMap((v) => Object.keys(v as object)));
  return Object.fromEntries(
    [...keys].map((key) => [key, added(there.map((v) => (v as Record<string, unknown>)[key]))]),
  ) as T;
}
