/** moqe pack: a checkpoint to a packed model, on disk or in a bucket. */
import { architectureOf } from "../arch/registry.ts";
import type { Values } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import type { ModelCard } from "../checkpoint/contract.ts";
import { openFolder } from "../checkpoint/open.ts";
import { Calibration } from "../pack/calibration/file.ts";
import { journalFor } from "../pack/journal.ts";
import { packCheckpoint } from "../pack/pack.ts";
import type { PackOptions } from "../pack/options.ts";
import type { PackWidths } from "../pack/widths.ts";
import { PackedExperts } from "../pack/packed_experts.ts";
import type { WritableStore } from "../store/contract.ts";
import { MANIFEST_NAME } from "../store/manifest.ts";
import { openModel, openWritableStore } from "../store/open.ts";
import { begunCommit, openKnown, pairsNeeded, waiting } from "./checkpoint.ts";
import { EXIT, type Invocation } from "./command.ts";
import { orderFrom } from "./expert_order.ts";
import type { packFlags } from "./pack_flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { floresPair, trainedPairs } from "./pairs.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";
import { leftOutLines, sizeTable } from "./tables.ts";
import { packWidths } from "./widths.ts";
import { checkTokenizer } from "../text/tokenizer_file.ts";

/** Runs the command. An interrupted pack leaves its journal: the same command goes on from there. */
export async function pack(
  { flags, positionals }: Invocation<typeof packFlags>,
): Promise<number> {
  const [address, out] = positionals as [string, string];
  const store = openWritableStore(out), journal = journalFor(store);
  using interrupt = listenForInterrupt();
  const { signal } = interrupt;
  const progress = new Progress({ force: flags.progress });
  const folder = await openFolder(address, {
    signal,
    onWait: waiting(progress),
    commit: flags.anew ? undefined : await begunCommit(address, journal),
  });
  const options = packOptions(address, flags, folder.card);
  await refuseOccupied(store);
  let widths: PackWidths;
  const { checkpoint, plan, spec } = await openKnown(folder, (config) => {
    const known = architectureOf(config).read(config);
    // A model that is prompted can be asked for any language.
    if (flags.pairs.length === 0 && known.spec.source.kind !== "chat") {
      throw pairsNeeded("pack", folder.card);
    }
    widths = packWidths(flags, known.plan);
    return known;
  });
  let calibration: Calibration | undefined;
  try {
    const { texts } = checkpoint;
    checkTokenizer(texts.tokenizer, spec.vocab);
    const pairs = trainedPairs(flags.pairs, spec.source, texts);
    calibration = flags.calibration === undefined
      ? undefined
      : await Calibration.open(flags.calibration, plan);
    const order = flags.orderBy === undefined
      ? undefined
      : await orderFrom(flags.orderBy, plan.expertLayers);
    const expertsFrom = flags.expertsFrom === undefined ? undefined : new PackedExperts(
      await openModel(flags.expertsFrom, { signal }),
      plan,
      flags.keptLayers.length > 0 ? new Set(flags.keptLayers) : undefined,
    );
    const report = await packCheckpoint(
      checkpoint,
      plan,
      store,
      { ...options, ...widths!, pairs, order, calibration, expertsFrom, journal, signal },
      ({ what, doneBytes, totalBytes, secondsLeft }) =>
        progress.show(
          `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}, ${what}`,
          doneBytes / totalBytes,
          secondsLeft,
        ),
    );
    progress.clear();
    console.log(sizeTable(report.sizes));
    for (const line of leftOutLines(report.leftOut)) console.log(line);
    if (report.resumedBlocks > 0) {
      console.log(`${report.resumedBlocks} blocks of an earlier, interrupted run were kept`);
    }
    if (checkpoint.card !== undefined) {
      const { repository, commit } = checkpoint.card;
      console.log(`from hf://${repository}@${commit}, licence ${options.licence.id}`);
    }
    console.log(
      `packed ${options.name} into ${store.origin}; manifest sha256 ${report.manifestSha256}`,
    );
    return EXIT.ok;
  } catch (thrown) {
    if (!interrupt.signal.aborted) throw thrown;
    progress.clear();
    console.error("moqe: interrupted; the same command goes on from here");
    return EXIT.interrupted;
  } finally {
    progress.clear();
    checkpoint.weights.close();
    calibration?.close();
  }
}

/** The packer's options. Throws MoqeError `bad_input` for what neither a person nor the model's card has said. */
function packOptions(
  address: string,
  flags: Values<typeof packFlags>,
  card: ModelCard | undefined,
): Omit<PackOptions, keyof PackWidths> {
  const licence = flags.licence === undefined ? card?.licence : { id: flags.licence };
  if (licence === undefined) {
    const why = "it is shown to all who serve the model";
    throw usage(
      { name: "pack" },
      `--licence is needed: ${why}${card === undefined ? "" : ", and the model's card names none"}`,
    );
  }
  if (flags.keptLayers.length > 0 && flags.expertsFrom === undefined) {
    throw usage({ name: "pack" }, "--kept-layers needs --experts-from: the model they are kept of");
  }
  return {
    name: flags.name ?? lastName(card?.repository ?? address),
    pairs: flags.pairs.map(floresPair),
    licence,
    objectBytes: flags.objectSize,
    expertBytes: flags.expertBytes,
    anew: flags.anew,
  };
}

/** Throws MoqeError `bad_input` where there is a model already. */
export async function refuseOccupied(store: WritableStore): Promise<void> {
  const action = `pack into ${store.origin}`;
  try {
    if (!await store.has(MANIFEST_NAME)) return;
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotADirectory)) throw cause;
    throw new MoqeError("bad_input", {
      action,
      rule: "it is a file",
      remedy: "name a folder",
      cause,
    });
  }
  throw new MoqeError("bad_input", {
    action,
    rule: "there is a packed model already",
    remedy: "name another place, or remove its manifest.json",
  });
}

/** The last part of a path or an address, without a query. */
function lastName(address: string): string {
  const path = address.replace(/[?#].*$/, "").replace(/\/+$/, "");
  return path.slice(path.lastIndexOf("/") + 1) || "model";
}
