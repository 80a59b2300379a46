/** moqe reorder: a packed model again, with experts that fire together side by side. */
import { formatBytes } from "../base/units.ts";
import { journalFor } from "../pack/journal.ts";
import { reorderModel } from "../pack/reorder.ts";
import { openModel, openWritableStore } from "../store/open.ts";
import { EXIT, type Invocation } from "./command.ts";
import { orderFrom } from "./expert_order.ts";
import type { reorderFlags } from "./pack_flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { refuseOccupied } from "./pack.ts";
import { usage } from "./parse.ts";
import { Progress } from "./progress.ts";

/** Runs the command. Interrupted, it leaves a journal: the same command goes on from there. */
export async function reorder(
  { flags, positionals }: Invocation<typeof reorderFlags>,
): Promise<number> {
  const [address, place] = positionals as [string, string];
  if (flags.orderBy === undefined) {
    throw usage({ name: "reorder" }, "--order-by is needed: what moqe profile --trace wrote");
  }
  const out = openWritableStore(place);
  await refuseOccupied(out);
  using interrupt = listenForInterrupt();
  const { signal } = interrupt;
  const progress = new Progress({ force: flags.progress });
  try {
    const { manifestSha256: pin, mirror: mirrors } = flags;
    const model = await openModel(address, { manifestSha256: pin, mirrors, signal });
    const layers = model.manifest.expertLayers.map(({ stack, experts }) => ({
      stack,
      count: experts.length,
    }));
    const { objectSize: objectBytes, anew } = flags;
    const order = await orderFrom(flags.orderBy, layers);
    const options = { order, objectBytes, anew, journal: journalFor(out), signal };
    const report = await reorderModel(
      model,
      out,
      options,
      (done, total) => progress.show(`${formatBytes(done)} of ${formatBytes(total)}`, done / total),
    );
    progress.clear();
    if (report.resumedBlocks > 0) {
      console.log(`${report.resumedBlocks} blocks of an earlier, interrupted run were kept`);
    }
    console.log(
      `wrote ${report.manifest.name} into ${out.origin}; manifest sha256 ${report.manifestSha256}`,
    );
    return EXIT.ok;
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
    progress.clear();
    console.error("moqe: interrupted; the same command goes on from here");
    return EXIT.interrupted;
  } finally {
    progress.clear();
  }
}
