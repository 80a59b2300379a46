/**
 * Writes a packed model of any configuration through the packer's own encoders and object writer, without a
 * checkpoint: random weights, one encoding for each shape, and a few bytes of its own in each block, so that no two
 * blocks of matrices are equal and nothing is read once that a real model would be read for twice. Or with few distinct
 * blocks, which the writer stores once, where a store has no room for more.
 */
import { architectureOf } from "../../src/arch/registry.ts";
import { expertLayout } from "../../src/base/layout.ts";
import { type ExpertLayerSpec, type ModelPlan, plannedTensors } from "../../src/base/plan.ts";
import type { TensorInfo, TensorSource } from "../../src/checkpoint/contract.ts";
import { encodeExpert, encodeTrunk } from "../../src/pack/encode.ts";
import { asAsync, ObjectWriter } from "../../src/pack/object_writer.ts";
import { DEFAULT_OBJECT_BYTES, PACKER_VERSION, type PackOptions } from "../../src/pack/options.ts";
import { RowReader } from "../../src/pack/row_reader.ts";
import {
  describeRecipes,
  FormatTable,
  type Recipes,
  resolveWidths,
  type TrunkItem,
  trunkItems,
} from "../../src/pack/widths.ts";
import type { WritableStore } from "../../src/store/contract.ts";
import {
  type BlockRef,
  FORMAT_VERSION,
  type Manifest,
  MANIFEST_NAME,
  parseManifest,
} from "../../src/store/manifest.ts";
import { randomWeights } from "../quant/random.ts";

/** A prime number of weights, repeated: every row begins at another phase. */
const PATTERN = 262_139;
/** Blocks of one shape are kept up to this, to be written again for the next tensor of that shape. */
const MOST_KEPT = 32 * 2 ** 20;

/** A checkpoint of a plan whose every weight is random and small; vectors are 1 where they are a norm's weight. */
function madeUp(plan: ModelPlan): TensorSource {
  const pattern = randomWeights(PATTERN, "gauss", 1).map((w) => w * 0.02);
  const tensors = new Map<string, TensorInfo>();
  for (const { name, shape } of plannedTensors(plan)) {
    const byteRange = { offset: 0, length: shape.reduce((a, b) => a * b, 4) };
    tensors.set(name, { name, dtype: "F32", shape, byteRange, file: "made up" });
  }
  return {
    origin: "made up",
    identity: "made up",
    tensors,
    readRows(name, rowStart, rowCount, options = {}) {
      const { shape } = tensors.get(name)!, cols = shape.at(-1)!, count = rowCount * cols;
      const into = options.into ?? new Float32Array(count);
      if (shape.length === 1 && /norm\d*\.weight$/.test(name)) into.fill(1, 0, count);
      else {
        let phase = rowStart * cols % PATTERN;
        for (let at = 0; at < count;) {
          const n = Math.min(PATTERN - phase, count - at);
          into.set(pattern.subarray(phase, phase + n), at);
          at += n;
          phase = 0;
        }
      }
      return Promise.resolve(into.subarray(0, count));
    },
    close() {},
  };
}

/** How many blocks differ; left out, all do. */
export interface LargeOptions extends PackOptions {
  readonly distinctExperts?: number | undefined;
}

/** Writes the model; `tokenizer` is a tokenizer.json. Answers its manifest. */
export async function writeLargeModel(
  config: Manifest["config"],
  out: WritableStore,
  options: LargeOptions,
  tokenizer: unknown,
): Promise<Manifest> {
  const { plan } = architectureOf(config).read(config);
  const recipes = resolveWidths(options), reader = new RowReader(madeUp(plan));
  const objectBytes = options.objectBytes ?? DEFAULT_OBJECT_BYTES;
  const writer = new ObjectWriter(out, objectBytes, () => Promise.resolve());
  const trunk: Manifest["trunk"] = [];
  const formats = new FormatTable();
  const distinct = options.distinctExperts;
  const work: Work = { reader, writer, kept: new Map(), made: 0, distinct };
  for (const item of trunkItems(plan, recipes)) {
    trunk.push({
      name: item.name,
      shape: [...item.shape],
      format: formats.indexOf(item.recipe.format),
      blocks: await trunkBlocks(item, work),
    });
  }
  await writer.flush();
  const expertLayers: Manifest["expertLayers"] = [];
  for (const spec of plan.expertLayers) {
    const blocks = await expertBlocks(spec, expertLayers.length, { ...work, recipes });
    const format = formats.indexOf(recipes.experts[spec.stack].format);
    const experts = blocks.map((block) => ({ format, block }));
    expertLayers.push({ stack: spec.stack, layer: spec.layer, experts });
  }
  const block = await writer.addText(new TextEncoder().encode(JSON.stringify(tokenizer)));
  const manifest: Manifest = {
    format: "moqe",
    version: FORMAT_VERSION,
    name: options.name,
    config,
    generation: {},
    tokenizer: { block, config: {} },
    pairs: [...options.pairs],
    formats: formats.formats.map(({ levels, ...f }) => levels ? { ...f, levels: [...levels] } : f),
    objects: writer.objects,
    trunk,
    expertLayers,
    provenance: {
      checkpoint: "made up",
      quantizer: describeRecipes(recipes),
      packer: PACKER_VERSION,
    },
    licence: { id: options.licence.id },
  };
  const text = JSON.stringify(manifest);
  await out.write(MANIFEST_NAME, asAsync(() => [new TextEncoder().encode(text)]));
  return parseManifest(text, "the model just written");
}

interface Work {
  readonly reader: RowReader;
  readonly writer: ObjectWriter;
  readonly kept: Map<string, Uint8Array[]>;
  /** Trunk blocks that were given bytes of their own. */
  made: number;
  readonly distinct: number | undefined;
}

/** A tensor's blocks: those of an earlier one of its shape and kind, or encoded now. */
async function trunkBlocks(item: TrunkItem, work: Work): Promise<BlockRef[]> {
  const { reader, writer, kept } = work;
  const isVector = item.shape.length === 1;
  const norm = isVector && /norm\.weight$/.test(item.name);
  const id = `${item.shape} ${norm} ${JSON.stringify(item.recipe)}`;
  const refs: BlockRef[] = [];
  const before = kept.get(id);
  if (before !== undefined) {
    for (const block of before) {
      const own = new Uint8Array(block);
      // Codes, or (in a router) a float next to zero.
      if (!isVector && work.distinct === undefined) {
        new DataView(own.buffer).setUint32(0, ++work.made, true);
      }
      refs.push(await writer.add(own));
    }
    return refs;
  }
  const blocks: Uint8Array[] = [];
  let bytes = 0;
  for await (const block of encodeTrunk(reader, item)) {
    refs.push(await writer.add(block));
    if ((bytes += block.length) <= MOST_KEPT) blocks.push(block);
  }
  if (bytes <= MOST_KEPT) kept.set(id, blocks);
  return refs;
}

/** One sparse layer's blocks, in objects of their own: one encoding, with another last bias or first codes in each. */
async function expertBlocks(
  spec: ExpertLayerSpec,
  layer: number,
  { reader, writer, recipes, kept, distinct }: Work & { recipes: Recipes },
): Promise<BlockRef[]> {
  const recipe = recipes.experts[spec.stack];
  const layout = expertLayout(spec.projections, recipe.format);
  const id = `experts ${JSON.stringify([spec.projections, recipe])}`;
  const made = kept.get(id)?.[0] ??
    await encodeExpert(reader, spec, 0, { recipe, layout, onChunk: () => {} });
  kept.set(id, [made]);
  const { biasOffset } = layout.projections.at(-1)!;
  const refs: BlockRef[] = [];
  for (let e = 0; e < spec.count; e++) {
    const block = new Uint8Array(made);
    const ordinal = layer * spec.count + e;
    const own = distinct === undefined ? ordinal : ordinal % distinct;
    const view = new DataView(block.buffer);
    if (biasOffset < 0) view.setUint32(0, own, true);
    else view.setFloat32(biasOffset, own * 1e-6, true);
    refs.push(await writer.add(block));
  }
  await writer.flush();
  return refs;
}

/**
 * A tokenizer.json with as many pieces, merges and languages as asked for: BPE over the letters of several scripts,
 * pieces of 2 to 14 letters, merges written as NLLB's are.
 */
export function largeTokenizer(vocab: number, languages: readonly string[]): unknown {
  const specials = ["<s>", "<pad>", "</s>", "<unk>"], after = [...languages, "<mask>"];
  const letters = [
    "▁",
    ..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?'\"()-",
  ];
  for (let c = 0x430; c < 0x450; c++) letters.push(String.fromCharCode(c));
  for (let c = 0x4e00; c < 0x4e00 + Math.min(2000, vocab >> 4); c++) {
    letters.push(String.fromCharCode(c));
  }
  const pieces = [...letters], known = new Set(pieces), merges: string[] = [];
  const room = vocab - specials.length - after.length;
  const random = randomWeights(4096, "gauss", 7);
  for (let i = 0; pieces.length < room; i++) {
    // Earlier pieces are likelier, as in a real vocabulary; both halves are of any age.
    const pick = (k: number) => {
      const r = Math.abs(random[(i * 2 + k) % random.length]!) * 0.6;
      return pieces[Math.floor(Math.min(0.999, r) * pieces.length + i * (7 + k)) % pieces.length]!;
    };
    const a = pick(0), b = pick(1), piece = a + b;
    if (b.includes("▁") || piece.length > 14 || known.has(piece)) continue;
    known.add(piece);
    pieces.push(piece);
    merges.push(`${a} ${b}`);
  }
  const tokens = [...specials, ...pieces.slice(0, room), ...after];
  const space = { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true };
  return {
    version: "1.0",
    added_tokens: [...specials, ...after].map((content) => ({
      id: tokens.indexOf(content),
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: "NFKC" },
    pre_tokenizer: space,
    post_processor: null,
    decoder: space,
    model: {
      type: "BPE",
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((t, i) => [t, i])),
      merges,
    },
  };
}
