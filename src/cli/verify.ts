/** moqe verify: reads a model whole, and each mirror of it, and checks every hash. */
import { MoqeError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import { verifyModel } from "../pack/verify.ts";
import { type OpenedModel, openModel } from "../store/open.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { verifyFlags } from "./flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { modelAddresses } from "./model.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";

/** Runs the command; a model or a mirror that is damaged is exit code 1 with one line a fault. */
export async function verify(
  { flags, positionals }: Invocation<typeof verifyFlags>,
): Promise<number> {
  const addresses = modelAddresses(positionals.length > 0 ? positionals : flags.model);
  if (addresses.length > 1 && (flags.mirror.length > 0 || flags.manifestSha256 !== undefined)) {
    throw usage({ name: "verify" }, "a mirror and a hash are of one model: say which");
  }
  using interrupt = listenForInterrupt();
  const progress = new Progress({ force: flags.progress });
  let areWhole = true;
  for (const address of addresses) {
    const opened = await openModel(address, {
      mirrors: flags.mirror,
      manifestSha256: flags.manifestSha256,
      signal: interrupt.signal,
    });
    if (!await areAllWhole(opened, flags.mirror, progress, interrupt.signal)) areWhole = false;
  }
  return areWhole ? EXIT.ok : EXIT.failure;
}

/** Reads a model and its mirrors. */
async function areAllWhole(
  opened: OpenedModel,
  mirrors: readonly string[],
  progress: Progress,
  signal: AbortSignal,
): Promise<boolean> {
  const { name } = opened.manifest;
  let areWhole = await isWhole(name, opened, progress, signal);
  for (const address of mirrors) {
    const mirror = await openMirror(address, opened.manifestSha256, signal);
    if (mirror === undefined) areWhole = false;
    else if (!await isWhole(`${name} at ${mirror.store.origin}`, mirror, progress, signal)) {
      areWhole = false;
    }
  }
  if (areWhole) console.log(`manifest sha256 ${opened.manifestSha256}`);
  return areWhole;
}

/** A mirror whose manifest is the model's; undefined, and told, where it has none or another. */
async function openMirror(
  address: string,
  manifestSha256: string,
  signal: AbortSignal,
): Promise<OpenedModel | undefined> {
  try {
    return await openModel(address, { manifestSha256, signal });
  } catch (error) {
    if (!(error instanceof MoqeError) || error.code === "cancelled") throw error;
    console.error(`moqe: a mirror is of no use: ${error.message}`);
    return undefined;
  }
}

/** Reads all of a store's objects; tells whether they are what the manifest says, and each fault. */
async function isWhole(
  what: string,
  { store, manifest }: OpenedModel,
  progress: Progress,
  signal: AbortSignal,
): Promise<boolean> {
  const report = await verifyModel(
    store,
    manifest,
    ({ what: object, doneBytes, totalBytes }) =>
      progress.show(
        `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}, ${object.slice(0, 12)}`,
        doneBytes / totalBytes,
      ),
    signal,
  );
  progress.clear();
  const { faults } = report;
  for (const fault of faults) console.error(`moqe: ${fault}`);
  const read = `${report.objects} objects, ${report.blocks} blocks, ${formatBytes(report.bytes)}`;
  if (faults.length === 0) console.log(`${what} is whole: ${read}`);
  else console.error(`moqe: ${what} is damaged: ${faults.length} faults in ${read}`);
  return faults.length === 0;
}
