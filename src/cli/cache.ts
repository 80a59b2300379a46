/** moqe cache: what lies in the disk cache, and bringing blocks in or out by hand. */
import type { Values } from "../base/config.ts";
import { MoqeError } from "../base/errors.ts";
import { Ledger } from "../base/ledger.ts";
import { createLogger } from "../base/log.ts";
import { formatBytes } from "../base/units.ts";
import { architectureOf } from "../arch/registry.ts";
import { Learned } from "../engine/learned.ts";
import { priorOf } from "../experts/profiles.ts";
import { firstKeys } from "../experts/trace.ts";
import { DiskCache, type DiskEntry, listBlocks } from "../store/disk_cache.ts";
import { StoreFetcher } from "../store/fetcher.ts";
import { type BlockRef, type Manifest, pairSides } from "../store/manifest.ts";
import { type OpenedModel, openModel } from "../store/open.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { cacheFlags } from "./flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { cacheFolder, modelAddress } from "./model.ts";
import { floresPair } from "./pairs.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";
import { table } from "./tables.ts";

const ACTIONS = ["ls", "stats", "warm", "drop"] as const;
/** Blocks being fetched at once while warming, and their most bytes in memory. */
const LANES = 6;
/** Experts less likely than this are not brought in for a language. */
const LEAST_CHANCE = 0.02;

type Flags = Values<typeof cacheFlags>;

/** Runs the command. */
export async function cache(
  { flags, positionals }: Invocation<typeof cacheFlags>,
): Promise<number> {
  const [action, model] = positionals;
  const folder = cacheFolder(flags.diskCacheDir);
  if (action === "stats") return await stats(folder);
  if (action === "ls") return await ls(folder, await open(model, flags));
  if (action === "drop") return await drop(folder, flags, model);
  if (action === "warm") return await warm(folder, flags, await open(model, flags));
  throw usage({ name: "cache" }, `say one of ${ACTIONS.join(", ")}`);
}

async function open(model: string | undefined, flags: Flags): Promise<OpenedModel> {
  return await openModel(modelAddress(model), { manifestSha256: flags.manifestSha256 });
}

async function stats(folder: string): Promise<number> {
  const entries = await listBlocks(folder);
  console.log(`${folder}: ${entries.length} blocks, ${formatBytes(sum(entries))}`);
  if (entries.length > 0) {
    const [first, last] = [entries[0]!, entries.at(-1)!];
    console.log(`used between ${first.usedAt.toISOString()} and ${last.usedAt.toISOString()}`);
  }
  return EXIT.ok;
}

/** What of a model is there, by layer. */
async function ls(folder: string, { manifest }: OpenedModel): Promise<number> {
  const there = new Map((await listBlocks(folder)).map((e) => [e.sha256, e]));
  const row = (name: string, refs: readonly BlockRef[]) => {
    const found = refs.filter((r) => there.has(r.sha256));
    const bytes = found.reduce((n, r) => n + r.length, 0);
    return [name, `${found.length} of ${refs.length}`, formatBytes(bytes)];
  };
  console.log(table(["part", "blocks", "bytes"], [
    row("trunk", manifest.trunk.flatMap((t) => t.blocks)),
    ...manifest.expertLayers.map((l) =>
      row(`${l.stack} ${l.layer}`, l.experts.map((e) => e.block))
    ),
  ]));
  return EXIT.ok;
}

/** Removes a model's blocks, or with --all every one. */
async function drop(folder: string, flags: Flags, model: string | undefined): Promise<number> {
  const entries = await listBlocks(folder);
  let gone = entries;
  if (!flags.all) {
    const { manifest } = await open(model, flags);
    const own = new Set(blocksOf(manifest).map((b) => b.sha256));
    gone = entries.filter((e) => own.has(e.sha256));
  }
  if (gone.length > 0) {
    const cache = await DiskCache.open(folder, Number.MAX_SAFE_INTEGER);
    for (const { sha256 } of gone) await cache.remove(sha256);
  }
  console.log(`dropped ${gone.length} blocks, ${formatBytes(sum(gone))}, from ${folder}`);
  return EXIT.ok;
}

/** Brings in the trunk, then experts by what the pairs' profiles say, the likeliest first, until the budget is full. */
async function warm(folder: string, flags: Flags, opened: OpenedModel): Promise<number> {
  using interrupt = listenForInterrupt();
  const progress = new Progress({ force: flags.progress });
  if (flags.diskCache === 0) throw usage({ name: "cache" }, "say how much: --disk-cache 8GiB");
  const { manifest, store, mirrors } = opened;
  const pairs = flags.pairs.map(floresPair);
  checkTrained(pairs, manifest);
  const cache = await DiskCache.open(folder, flags.diskCache);
  const wanted = await wantedBlocks(opened, pairs);
  const kept: BlockRef[] = [];
  let planned = 0;
  for (const ref of wanted) {
    if (planned + ref.length > flags.diskCache) break;
    planned += ref.length;
    kept.push(ref);
  }
  const widest = Math.max(1, ...kept.map((r) => r.length));
  const ledger = new Ledger({ gpuBytes: 0, hostBytes: 2 * LANES * widest });
  const fetcher = new StoreFetcher(store, manifest, ledger, { mirrors, concurrency: LANES });
  let next = 0, done = 0, brought = 0;
  const lane = async () => {
    while (next < kept.length) {
      const ref = kept[next++]!;
      if (!await cache.has(ref.sha256, ref.length)) {
        const block = await fetcher.fetch(ref, { signal: interrupt.signal });
        try {
          await cache.write(ref.sha256, block.bytes);
          brought += ref.length;
        } finally {
          block.release();
        }
      }
      done += ref.length;
      progress.show(`warming: ${formatBytes(done)}`, done / planned);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane)).finally(() => progress.clear());
  // Room for a block may have cost another: what is there is counted, not what was meant to be.
  const there = new Set((await listBlocks(folder)).map((e) => e.sha256));
  const count = wanted.filter((r) => there.has(r.sha256)).length;
  console.log(
    `${folder}: ${count} of ${wanted.length} blocks of ${manifest.name} are there, ` +
      `${formatBytes(brought)} of them brought in`,
  );
  return EXIT.ok;
}

/** Throws MoqeError `bad_input` for a pair that the model was not trained for. */
function checkTrained(pairs: readonly string[], { name, pairs: trained }: Manifest): void {
  const other = pairs.find((p) => !trained.includes(p));
  if (other === undefined) return;
  throw new MoqeError("bad_input", {
    action: `warm the cache for ${other}`,
    rule: `${name} was trained for ${trained.join(", ")}`,
  });
}

/** Distinct blocks of the trunk, then of experts that the pairs use; every expert where nothing is known of a pair. */
async function wantedBlocks(opened: OpenedModel, pairs: readonly string[]): Promise<BlockRef[]> {
  const { manifest, store } = opened;
  const { plan } = architectureOf(manifest.config).read(manifest.config);
  const log = createLogger("warn");
  const { profiles } = await Learned.open(manifest, plan, store, { log });
  const prior = priorOf(profiles, plan.expertLayers);
  const first = firstKeys(plan.expertLayers);
  const experts = manifest.expertLayers.flatMap((l, layer) =>
    l.experts.map(({ block }, e) => {
      const chances = (pairs.length === 0 ? manifest.pairs : pairs).map((pair) => {
        const { source, target } = pairSides(pair);
        const chance = prior(l.stack, l.stack === "encoder" ? source : target);
        return chance?.[first[layer]! + e] ?? 1;
      });
      return { block, chance: Math.max(...chances) };
    })
  ).filter((e) => e.chance >= LEAST_CHANCE).sort((a, b) => b.chance - a.chance);
  const all = [...manifest.trunk.flatMap((t) => t.blocks), ...experts.map((e) => e.block)];
  return [...new Map(all.map((b) => [b.sha256, b])).values()];
}

function blocksOf(manifest: Manifest): BlockRef[] {
  return [
    ...manifest.trunk.flatMap((t) => t.blocks),
    ...manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block)),
    manifest.tokenizer.block,
  ];
}

function sum(entries: readonly DiskEntry[]): number {
  return entries.reduce((n, e) => n + e.bytes, 0);
}
