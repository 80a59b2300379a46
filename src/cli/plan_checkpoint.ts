/** What `moqe plan` finds out about a checkpoint: from its config.json, and of a hub's from a few headers beside it. */
import { architectureOf } from "../arch/registry.ts";
import type { Values } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { checkAgainstPlan } from "../checkpoint/check.ts";
import type { ModelCard } from "../checkpoint/contract.ts";
import { openFolder } from "../checkpoint/open.ts";
import { type Outline, readOutline } from "../checkpoint/outline.ts";
import { readConfig } from "../checkpoint/texts.ts";
import { plannedManifest } from "../pack/planned.ts";
import { planSizes } from "../pack/sizes.ts";
import type { Manifest } from "../store/manifest.ts";
import { languagesText, waiting } from "./checkpoint.ts";
import type { planFlags } from "./pack_flags.ts";
import type { Planned } from "./plan.ts";
import { Progress } from "./progress.ts";
import { sizeTable } from "./tables.ts";
import { packWidths } from "./widths.ts";

type PlanFlags = Values<typeof planFlags>;

/** Bytes of an index and of headers that are looked at: with all else a plan stays under 1 MB of reading. */
const OUTLINE_BYTES = 850_000;

/** A file that is a checkpoint's config.json. Prints sizes by part. */
export async function planConfig(path: string, flags: PlanFlags): Promise<Planned> {
  return planned(await configFile(path), flags, { name: path, tokenizerBytes: 0 });
}

/**
 * A repository of a hub. Prints what it is, and sizes by part. Throws MoqeError as opening it does, `unsupported` for an
 * architecture that is not known, `bad_input` for tensors that are not as config.json says.
 */
export async function planHub(address: string, flags: PlanFlags): Promise<Planned> {
  const folder = await openFolder(address, { onWait: waiting(new Progress()) });
  const config = await readConfig(folder);
  const { plan } = architectureOf(config).read(config);
  const outline = await readOutline(folder, OUTLINE_BYTES);
  if (outline.names !== undefined) checkAgainstPlan(outline, plan, outline.names);
  const card = folder.card!;
  console.log(cardText(card));
  console.log(`${outlineText(outline)}\n`);
  const tokenizer = await folder.stat("tokenizer.json");
  return planned(config, flags, { name: card.repository, tokenizerBytes: tokenizer!.bytes });
}

function planned(
  config: unknown,
  flags: PlanFlags,
  of: Pick<Manifest, "name"> & { tokenizerBytes: number },
): Planned {
  const { plan, spec } = architectureOf(config).read(config), widths = packWidths(flags);
  console.log(sizeTable(planSizes(plan, widths)));
  const manifest = plannedManifest(plan, widths, { ...of, config: config as Manifest["config"] });
  return { plan, spec, manifest, manifestBytes: JSON.stringify(manifest).length };
}

function cardText({ repository, commit, licence, languages }: ModelCard): string {
  const named = languages.length === 0 ? "" : `\nits card names ${languagesText(languages)}`;
  return `hf://${repository}@${commit}, licence ${licence?.id ?? "not named"}${named}`;
}

function outlineText({ files, names, tensors }: Outline): string {
  const types = [...new Set(Array.from(tensors.values(), (t) => t.dtype))].sort();
  const what = files === undefined
    ? "files of weights with a long index"
    : `${files.count} file${files.count === 1 ? "" : "s"} of ${formatBytes(files.bytes)}`;
  const seen = names === undefined
    ? "only pack looks at its tensors"
    : `${names.size} tensors are as config.json says, by their names and the shapes of ${tensors.size}`;
  return `${what}${types.length === 0 ? "" : `, ${types.join(" and ")}`}; ${seen}`;
}

async function configFile(path: string): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    throw new MoqeError("bad_input", {
      action: `read ${path}`,
      rule: (cause as Error).message,
      remedy: "name a checkpoint's config.json",
      cause,
    });
  }
}
