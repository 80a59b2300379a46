/** What is known of languages' experts: the model's published profiles, refined by what service learned here. */
import { createHash } from "node:crypto";
import { errorCode, errorText } from "../base/errors.ts";
import { replaceText } from "../base/files.ts";
import type { Logger } from "../base/log.ts";
import type { ModelPlan } from "../base/plan.ts";
import type { Usage } from "../experts/policy/usage.ts";
import { learnedProfile, mergeProfiles } from "../experts/profiles.ts";
import type { ObjectStore } from "../store/contract.ts";
import { noProfiles, parseProfiles, type Profiles, PROFILES_NAME } from "../store/profiles.ts";
import type { Manifest } from "../store/manifest.ts";

/** NLLB-MoE-54B's 200 languages take about 1 MB. */
const MAX_BYTES = 16 * 2 ** 20;

export interface LearnedOptions {
  /** Folder of local state; without one nothing is kept. */
  readonly folder?: string | undefined;
  readonly log: Pick<Logger, "warn">;
}

/** A hash of the routers' weights: profiles are of these, however experts are packed. */
export function routersHash(manifest: Manifest, plan: ModelPlan): string {
  const routers = new Set(plan.tensors.filter((t) => t.role === "exact").map((t) => t.name));
  const hash = createHash("sha256");
  for (const t of manifest.trunk) {
    if (routers.has(t.name)) { for (const b of t.blocks) hash.update(`${t.name} ${b.sha256}\n`); }
  }
  return hash.digest("hex");
}

/** Profiles in service. They are hints: whatever is wrong with them is told and left aside. */
export class Learned {
  private constructor(
    readonly profiles: Profiles,
    /** What earlier runs learned; of a language that this one learned too, the newer is kept. */
    private readonly local: Profiles,
    private readonly plan: ModelPlan,
    private readonly path: string | undefined,
    private readonly log: Pick<Logger, "warn">,
  ) {}

  static async open(
    manifest: Manifest,
    plan: ModelPlan,
    store: ObjectStore,
    options: LearnedOptions,
  ): Promise<Learned> {
    const { folder, log } = options;
    const routers = routersHash(manifest, plan);
    const read = async (where: string, text: () => Promise<string | undefined>) => {
      try {
        const found = await text();
        if (found === undefined) return noProfiles(routers);
        return parseProfiles(found, { layers: plan.expertLayers, routers }, where);
      } catch (error) {
        if (errorCode(error) !== "unavailable") {
          log.warn("profiles are left aside", { where, error: errorText(error) });
        }
        return noProfiles(routers);
      }
    };
    const dense = plan.expertLayers.length === 0;
    const published = dense ? noProfiles(routers) : await read(
      store.origin,
      async () => new TextDecoder().decode(await store.readAll(PROFILES_NAME, MAX_BYTES)),
    );
    const path = folder === undefined || dense ? undefined : `${folder}/profiles-${routers}.json`;
    const local = path === undefined
      ? noProfiles(routers)
      : await read(path, () => Deno.readTextFile(path).catch(() => undefined));
    return new Learned(mergeProfiles(published, local), local, plan, path, log);
  }

  /** Keeps what was learned for the next start. */
  async save(usage: Usage): Promise<void> {
    if (this.path === undefined) return;
    const learned = usage.learned();
    if (learned.length === 0) return;
    const state = structuredClone(this.local);
    for (const { stack, language, ...chances } of learned) {
      state[stack][language] = learnedProfile(this.plan.expertLayers, stack, chances);
    }
    try {
      await replaceText(this.path, JSON.stringify(state));
    } catch (error) {
      this.log.warn("what was learned of languages is not kept", { error: errorText(error) });
    }
  }
}
