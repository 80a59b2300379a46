/** moqe verify: reads a model whole and checks every hash. */
import { formatBytes } from "../base/units.ts";
import { verifyModel } from "../pack/verify.ts";
import { openModel } from "../store/open.ts";
import { EXIT, type Invocation } from "./command.ts";
import type { verifyFlags } from "./flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { modelAddress } from "./model.ts";
import { Progress } from "./progress.ts";

/** Runs the command; a damaged model is exit code 1 with one line a fault. */
export async function verify(
  { flags, positionals }: Invocation<typeof verifyFlags>,
): Promise<number> {
  using interrupt = listenForInterrupt();
  const { signal } = interrupt;
  const { manifestSha256: pinned } = flags;
  const progress = new Progress({ force: flags.progress });
  const opened = await openModel(modelAddress(positionals[0] ?? flags.model), {
    mirrors: flags.mirror,
    manifestSha256: pinned,
    signal,
  });
  const report = await verifyModel(
    opened.store,
    opened.manifest,
    ({ what, doneBytes, totalBytes }) =>
      progress.show(
        `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}, ${what.slice(0, 12)}`,
        doneBytes / totalBytes,
      ),
    signal,
  );
  progress.clear();
  for (const fault of report.faults) console.error(`moqe: ${fault}`);
  const read = `${report.objects} objects, ${report.blocks} blocks, ${formatBytes(report.bytes)}`;
  const name = opened.manifest.name;
  if (report.faults.length > 0) {
    console.error(`moqe: ${name} is damaged: ${report.faults.length} faults in ${read}`);
    return EXIT.failure;
  }
  console.log(`${name} is whole: ${read}`);
  console.log(`manifest sha256 ${opened.manifestSha256}`);
  return EXIT.ok;
}
