/**
 * `moqe pack --experts-from`: experts' matrices as a packed model has them, so that what was trained on around these
 * very codes can be packed beside them, a trunk or the experts of other layers. Encoding what they decode to again would
 * not find them all.
 */
import { MoqeError } from "../base/errors.ts";
import { type ExpertLayout, expertLayout, type MatrixFormat } from "../base/layout.ts";
import { Ledger } from "../base/ledger.ts";
import { type ExpertLayerSpec, isIgnored, type ModelPlan } from "../base/plan.ts";
import { dequantizeRow, viewMatrix } from "../quant/matrix.ts";
import type { Recipe } from "../quant/quantizers.ts";
import { StoreFetcher } from "../store/fetcher.ts";
import type { OpenedModel } from "../store/open.ts";
import type { ExpertTensors } from "./bases.ts";
import { copyBias } from "./bias.ts";
import type { PackOptions } from "./options.ts";
import type { RowReader } from "./row_reader.ts";
import { layerName, type TrunkItem } from "./widths.ts";

/** Rows of each matrix that are held against the checkpoint's, and the least correlation of both. */
const COMPARED_ROWS = 8;
const LEAST_CORRELATION = 0.3;

/** Reads experts of a packed model, each block checked by its hash. */
export class PackedExperts {
  readonly #fetcher: StoreFetcher;

  /**
   * @param layers the layers whose experts are taken, as "decoder.0"; left out: all
   * @throws MoqeError `bad_input` for a model whose experts are not those of the plan, or a layer that has none
   */
  constructor(
    readonly model: OpenedModel,
    readonly plan: ModelPlan,
    readonly layers: ReadonlySet<string> = new Set(plan.expertLayers.map(layerName)),
  ) {
    const { manifest, store, mirrors } = model;
    checkNames(layers, plan);
    for (const [l, layer] of plan.expertLayers.entries()) {
      if (!this.has(l)) continue;
      const there = manifest.expertLayers[l];
      const fits = manifest.expertLayers.length === plan.expertLayers.length &&
        there?.stack === layer.stack && there.layer === layer.layer &&
        there.experts.length === layer.count &&
        there.experts.every(({ block }, e) => block.length === this.#layout(l, e).bytes);
      if (!fits) {
        throw refuse(model, { rule: `its ${layer.stack} layer ${layer.layer} is another` });
      }
    }
    const blocks = manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block.length));
    const ledger = new Ledger({ gpuBytes: 0, hostBytes: 2 * Math.max(1, ...blocks) });
    this.#fetcher = new StoreFetcher(store, manifest, ledger, { mirrors });
  }

  /** Whether experts of this layer of the plan are taken. */
  has(ordinal: number): boolean {
    return this.layers.has(layerName(this.plan.expertLayers[ordinal]!));
  }

  /** Whether those of every layer are. */
  get isWhole(): boolean {
    return this.layers.size === this.plan.expertLayers.length;
  }

  /** Recipes of a taken layer's experts: their formats, under the name of what could have written them. */
  recipes(ordinal: number): Recipe[] {
    return Array.from({ length: this.plan.expertLayers[ordinal]!.count }, (_, e): Recipe => {
      const format = this.#format(ordinal, e);
      const coded = format.trellis ? "trellis" : format.levels ? "lloyd" : "symmetric";
      return { quantizer: format.bits < 16 ? coded : "float", rounding: "nearest", format };
    });
  }

  /** What the blocks of all taken layers take. */
  get bytes(): number {
    const layers = this.model.manifest.expertLayers.filter((_, l) => this.has(l));
    return layers.flatMap((l) => l.experts).reduce((sum, { block }) => sum + block.length, 0);
  }

  /** In words, for the manifest of what is packed. */
  describe(): string {
    const { manifest, manifestSha256 } = this.model;
    const what = this.isWhole ? "experts" : `experts of ${[...this.layers].join(", ")}`;
    return `${what} from ${manifest.name}, manifest ${manifestSha256.slice(0, 16)}: ` +
      manifest.provenance.quantizer;
  }

  /**
   * What taken experts are added to must be there as it was when they were coded: they hold what its codes lost.
   *
   * @throws MoqeError `bad_input` where the trunk to write has other bases than the packed model, or codes them otherwise
   */
  checkBases(items: readonly TrunkItem[]): void {
    const { formats, trunk } = this.model.manifest;
    const planned = new Set(this.plan.tensors.map((t) => t.name));
    const isKnown = (name: string) => planned.has(name) || isIgnored(this.plan, name);
    const there = new Map(trunk.map((t) => [t.name, coding(formats[t.format]!)]));
    const here = new Map(items.map((i) => [i.name, coding(i.recipe.format)]));
    // A tensor that the plan does not know can only be a base there where none is here.
    const names = [...this.#baseNames(), ...[...there.keys()].filter((name) => !isKnown(name))];
    for (const name of names) {
      const was = there.get(name) ?? "absent", is = here.get(name) ?? "absent";
      if (was === is) continue;
      throw refuse(this.model, {
        rule: `${name}, which experts are added to, is ${was} there`,
        observed: is,
        remedy: was === "absent" || is === "absent"
          ? "pack a checkpoint with bases where the model has them, and one without where it has not"
          : "give this part the same codes here: --part dense_ffn=WIDTH and --group as it was packed",
      });
    }
  }

  /** Names of the bases of taken layers. */
  #baseNames(): string[] {
    return this.plan.expertLayers.filter((_, l) => this.has(l)).flatMap(({ bases, projections }) =>
      Array.from({ length: bases?.count ?? 0 }, (_, b) => b)
        .flatMap((b) => projections.map((p) => bases!.tensorName(b, p.name)))
    );
  }

  /**
   * One expert's block with the checkpoint's biases in it; the caller's own.
   *
   * @throws MoqeError `bad_input` where the checkpoint's first rows are not even like the packed ones
   */
  async encode(
    reader: RowReader,
    tensors: ExpertTensors,
    ordinal: number,
    expert: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const spec = this.plan.expertLayers[ordinal]!, layout = this.#layout(ordinal, expert);
    const { block } = this.model.manifest.expertLayers[ordinal]!.experts[expert]!;
    const read = await this.#fetcher.fetch(block, { signal: reader.signal });
    const bytes = read.bytes.slice();
    read.release();
    await this.#compare(tensors, spec, expert, { bytes, layout });
    for (const [p, { name, rows, bias }] of spec.projections.entries()) {
      if (!bias) continue;
      const job = { name: spec.tensorNames(expert, name).bias, rows: 1, cols: rows };
      for await (const chunk of reader.read([job])) {
        copyBias(chunk, new Float32Array(bytes.buffer, layout.projections[p]!.biasOffset, rows));
      }
    }
    return bytes;
  }

  /** Both with their base where there is one: what is added to it may be small, and changed much by gptq. */
  async #compare(
    tensors: ExpertTensors,
    spec: ExpertLayerSpec,
    expert: number,
    { bytes, layout }: { bytes: Uint8Array<ArrayBuffer>; layout: ExpertLayout },
  ): Promise<void> {
    for (const [p, { name, rows, cols }] of spec.projections.entries()) {
      const { weight } = spec.tensorNames(expert, name);
      const packed = viewMatrix(bytes, rows, cols, layout.format, layout.projections[p]!);
      const count = Math.min(COMPARED_ROWS, rows), decoded = new Float32Array(count * cols);
      for (let r = 0; r < count; r++) {
        dequantizeRow(packed, r, decoded.subarray(r * cols, (r + 1) * cols));
      }
      const wanted = await tensors.readRows(weight, 0, count, { signal: tensors.signal });
      const base = (await tensors.base(spec, expert, name))?.subarray(0, count * cols);
      base?.forEach((w, i) => {
        decoded[i]! += w;
        wanted[i]! += w;
      });
      const alike = correlation(decoded, wanted);
      if (alike >= LEAST_CORRELATION) continue;
      throw refuse(this.model, {
        rule: `${weight} has nothing in common with it (${alike.toFixed(2)})`,
      });
    }
  }

  #format(ordinal: number, expert: number): MatrixFormat {
    const { manifest } = this.model;
    return manifest.formats[manifest.expertLayers[ordinal]!.experts[expert]!.format]!;
  }

  #layout(ordinal: number, expert: number): ExpertLayout {
    const { projections } = this.plan.expertLayers[ordinal]!;
    return expertLayout(projections, this.#format(ordinal, expert));
  }
}

/** Throws MoqeError `bad_input` for options that would choose taken experts' codes anew. */
export function checkNothingElse(options: PackOptions, { isWhole, layers }: PackedExperts): void {
  const { calibration, expertBytes, experts, parts } = options;
  const isTaken = (part: string) =>
    isWhole ? part.endsWith("experts") : layers.has(part.replace(/\.experts$/, ""));
  const said = [
    isWhole && calibration !== undefined && "--calibration",
    isWhole && expertBytes !== undefined && "--expert-bytes",
    isWhole && experts.rounding === "gptq" && "--rounding gptq",
    ...Object.keys(parts ?? {}).map((part) => isTaken(part) && `--part ${part}`),
  ].filter((flag) => flag !== false);
  if (said.length === 0) return;
  throw new MoqeError("bad_input", {
    action: "take experts from a packed model",
    rule: "their codes stay as they are there, so nothing may choose them anew",
    observed: said.join(", "),
    remedy:
      "leave out either --experts-from or these, or take some layers alone with --kept-layers",
  });
}

/** Throws MoqeError `bad_input` where no layer of a model with experts is named, or one that has none. */
function checkNames(layers: ReadonlySet<string>, plan: ModelPlan): void {
  const known = plan.expertLayers.map(layerName);
  const strange = [...layers].filter((name) => !known.includes(name));
  if (strange.length === 0 && (layers.size > 0 || known.length === 0)) return;
  throw new MoqeError("bad_input", {
    action: "choose the layers whose experts are kept",
    rule: `layers with experts are ${known.join(", ")}`,
    observed: strange.join(", ") || "none",
  });
}

/** Of two lists of equal length; 1 where both are nothing but zeros. */
function correlation(a: Float32Array, b: Float32Array): number {
  let dot = 0, one = 0, other = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    one += a[i]! ** 2;
    other += b[i]! ** 2;
  }
  return one === 0 && other === 0 ? 1 : dot / Math.max(Number.MIN_VALUE, Math.sqrt(one * other));
}

/** How a matrix is coded, in words. */
function coding({ bits, group, zero, levels }: MatrixFormat): string {
  if (bits >= 16) return `f${bits}`;
  const scales = group === 0 ? "a scale a row" : `a scale for each ${group} weights`;
  return `${bits} bits, ${scales}, ${
    levels === undefined ? `zero at ${zero}` : `levels ${levels}`
  }`;
}

function refuse(
  model: OpenedModel,
  parts: { rule: string; observed?: string; remedy?: string },
): MoqeError {
  return new MoqeError("bad_input", {
    action: `take the experts of ${model.store.origin}`,
    remedy: "name the packed form of this very checkpoint, or of what it was trained on from",
    ...parts,
  });
}
