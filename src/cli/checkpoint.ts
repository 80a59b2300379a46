/** Checkpoints as commands open them. */
import { architectureOf } from "../arch/registry.ts";
import type { MoqeError } from "../base/errors.ts";
import type { ModelPlan } from "../base/plan.ts";
import type { Checkpoint, Folder, FolderOptions, ModelCard } from "../checkpoint/contract.ts";
import { isHubAddress, parseHubAddress } from "../checkpoint/hub_address.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import type { ModelSpec } from "../nn/spec.ts";
import { headOf, type JournalFile } from "../pack/journal.ts";
import { usage } from "./parse.ts";
import type { Progress } from "./progress.ts";

/** Languages of a card that an error names. */
const MOST_LANGUAGES = 24;

/** A checkpoint and what it is made of. */
export interface KnownCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly plan: ModelPlan;
  readonly spec: ModelSpec;
}

/**
 * Opens a checkpoint. `read` is given config.json before anything large is read; an architecture that is not known is
 * refused then. The caller closes the weights.
 */
export async function openKnown(
  folder: Folder,
  read = (config: unknown) => architectureOf(config).read(config),
): Promise<KnownCheckpoint> {
  let known: ReturnType<typeof read> | undefined;
  const checkpoint = await openCheckpoint(folder, (config) => void (known = read(config)));
  return { checkpoint, ...known! };
}

/** Says on stderr why nothing happens while a hub lets wait. */
export function waiting(progress: Progress): NonNullable<FolderOptions["onWait"]> {
  return (text) => {
    progress.clear();
    console.error(`moqe: ${text}`);
  };
}

/**
 * The commit that an unfinished pack in the same place began with, where it was asked for the same: the hub's branch may
 * have moved since, and two commits must not be mixed.
 */
export async function begunCommit(
  address: string,
  journal: JournalFile,
): Promise<string | undefined> {
  if (!isHubAddress(address)) return undefined;
  const { repository, revision } = parseHubAddress(address);
  const begun = headOf(await journal.read())?.hub;
  if (begun?.asked !== `${repository}@${revision}`) return undefined;
  console.error(
    `moqe: going on with ${repository} at commit ${begun.commit}, as the unfinished pack began ` +
      `(--anew takes ${revision} as it is now)`,
  );
  return begun.commit;
}

/** Languages as a card names them, the first of them where they are many. */
export function languagesText(languages: readonly string[]): string {
  const more = languages.length - MOST_LANGUAGES;
  const named = languages.slice(0, MOST_LANGUAGES).join(", ");
  return `${languages.length > 1 ? "the languages" : "the language"} ${named}` +
    (more > 0 ? ` and ${more} more` : "");
}

/** The mistake of naming no pairs, with the languages that the model's card names. */
export function pairsNeeded(command: string, card: ModelCard | undefined): MoqeError {
  const { languages = [] } = card ?? {};
  const known = languages.length > 0 ? `; its card names ${languagesText(languages)}` : "";
  return usage(
    { name: command },
    `--pairs is needed: what the model was trained for, as en-de${known}`,
  );
}
