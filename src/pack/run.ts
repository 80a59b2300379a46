/** One run of the packer over a checkpoint's weights, going on where the journal ends. */
import { createHash } from "node:crypto";
import { expertLayout } from "../base/layout.ts";
import type { ExpertLayerSpec, ModelPlan } from "../base/plan.ts";
import type { ModelCard, TensorSource } from "../checkpoint/contract.ts";
import type { WritableStore } from "../store/contract.ts";
import { type BlockRef, TRUNK_BLOCK_BYTES } from "../store/manifest.ts";
import { isCalibrated, type Recipe } from "../quant/quantizers.ts";
import type { ExpertTensors } from "./bases.ts";
import { encodeCalibrated } from "./calibration/encode.ts";
import { encodeExpert, encodeTrunk } from "./encode.ts";
import { commitOf, entryLine } from "./journal.ts";
import { ObjectWriter } from "./object_writer.ts";
import { DEFAULT_OBJECT_BYTES, PACKER_VERSION, type PackOptions } from "./options.ts";
import { type PackProgress, ProgressMeter } from "./progress.ts";
import { resume } from "./resume.ts";
import { type ReadJob, RowReader } from "./row_reader.ts";
import { trunkBytes } from "./sizes.ts";
import type { TrunkItem } from "./widths.ts";

/** What one run has to do, with nothing left open. */
export interface Work {
  readonly options: PackOptions;
  readonly items: readonly TrunkItem[];
  /** Each expert's recipe, by layer. */
  readonly chosen: readonly (readonly Recipe[])[];
  readonly onProgress: (progress: PackProgress) => void;
  /** The checkpoint's, for a run that goes on with this one. */
  readonly card?: ModelCard | undefined;
}

/** One run over the weights. Blocks come in a fixed order; those that the journal has are not made again. */
export class Run {
  readonly #reader: RowReader;
  readonly #meter: ProgressMeter;
  /** Blocks of an earlier run still to be used, in order. */
  #recorded: BlockRef[] = [];

  /** How many blocks the journal had. */
  resumedBlocks = 0;

  private constructor(
    readonly tensors: ExpertTensors,
    plan: ModelPlan,
    readonly writer: ObjectWriter,
    readonly work: Work,
  ) {
    this.#reader = new RowReader(tensors, work.options.signal);
    this.#meter = new ProgressMeter(tensors, plan, work.items, work.onProgress);
  }

  static async start(
    tensors: ExpertTensors,
    plan: ModelPlan,
    out: WritableStore,
    work: Work,
  ): Promise<Run> {
    const { journal, objectBytes = DEFAULT_OBJECT_BYTES } = work.options;
    const writer = new ObjectWriter(
      out,
      objectBytes,
      async (finished) => await journal?.append(entryLine(finished)),
    );
    const run = new Run(tensors, plan, writer, work);
    if (journal === undefined) return run;
    const head = { fingerprint: fingerprint(tensors, plan, work), hub: commitOf(work.card) };
    run.#recorded = await resume(writer, { journal, head, anew: work.options.anew });
    run.resumedBlocks = run.#recorded.length;
    return run;
  }

  /** A trunk tensor's blocks. A tensor that was cut off is encoded again, but only its missing blocks are kept. */
  async trunk(item: TrunkItem): Promise<BlockRef[]> {
    const count = Math.ceil(trunkBytes(item) / TRUNK_BLOCK_BYTES);
    const refs = this.#recorded.splice(0, count);
    if (refs.length === count) {
      this.#meter.skip(item.source);
      return refs;
    }
    let index = 0;
    const blocks = encodeTrunk(this.#reader, item, (chunk) => this.#meter.add(item.name, chunk));
    for await (const block of blocks) {
      if (index++ >= refs.length) refs.push(await this.writer.add(block));
    }
    return refs;
  }

  /**
   * One sparse layer's blocks by expert, written to objects of their own in the order asked for. `ordinal` counts the
   * plan's layers.
   */
  async experts(spec: ExpertLayerSpec, ordinal: number): Promise<BlockRef[]> {
    const { calibration, expertsFrom, order } = this.work.options;
    const refs: BlockRef[] = [];
    for (const e of order?.[ordinal] ?? Array.from({ length: spec.count }, (_, e) => e)) {
      const recorded = this.#recorded.shift();
      if (recorded !== undefined) {
        for (const name of expertTensors(spec, e)) this.#meter.skip(name);
        refs[e] = recorded;
        continue;
      }
      const what = `${spec.stack} layer ${spec.layer} expert ${e}`;
      const onChunk = (chunk: { job: ReadJob; rowCount: number }) => this.#meter.add(what, chunk);
      const recipe = this.work.chosen[ordinal]![e]!;
      const work = { recipe, layout: expertLayout(spec.projections, recipe.format), onChunk };
      const taken = expertsFrom?.has(ordinal) ? expertsFrom : undefined;
      const block = taken !== undefined
        ? await taken.encode(this.#reader, this.tensors, ordinal, e)
        : calibration !== undefined && isCalibrated(recipe)
        ? await encodeCalibrated(this.#reader, spec, e, {
          ...work,
          calibration,
          ordinal,
          tensors: this.tensors,
        })
        : await encodeExpert(this.#reader, spec, e, work);
      if (taken !== undefined) this.#meter.take(what, expertTensors(spec, e));
      refs[e] = await this.writer.add(block);
    }
    await this.writer.flush();
    return refs;
  }
}

/** Names of the tensors that make one expert. */
function expertTensors(spec: ExpertLayerSpec, expert: number): string[] {
  return spec.projections.flatMap((p) => {
    const names = spec.tensorNames(expert, p.name);
    return p.bias ? [names.weight, names.bias] : [names.weight];
  });
}

/** A hash of all that decides the blocks, and of the files' versions. */
function fingerprint(
  source: TensorSource,
  plan: ModelPlan,
  { options, items, chosen }: Work,
): string {
  const hash = createHash("sha256");
  const add = (value: unknown) => hash.update(`${JSON.stringify(value)}\n`);
  add([PACKER_VERSION, plan.modelType, options.objectBytes ?? DEFAULT_OBJECT_BYTES]);
  add([chosen, items, options.calibration?.sha256]);
  if (options.order !== undefined) add(options.order);
  const { expertsFrom } = options;
  if (expertsFrom !== undefined) {
    add([expertsFrom.model.manifestSha256, ...expertsFrom.isWhole ? [] : expertsFrom.layers]);
  }
  add(plan.expertLayers.map((l) => [l.stack, l.layer, l.count, l.projections]));
  add(source.identity);
  for (const tensor of source.tensors.values()) add(tensor);
  return hash.digest("hex");
}
