/** manifest.json: its schema, and the checks that no schema can say. A manifest is validated whole, every fault at once. */
import { z } from "zod";
import { MoqeError } from "../base/errors.ts";
import type { Bits } from "../base/layout.ts";

export const MANIFEST_NAME = "manifest.json";
export const FORMAT_VERSION = 1;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "is not a sha256 in lower-case hex");
const whole = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const positive = whole.positive();

const matrixFormat = z.strictObject({
  bits: z.union([2, 3, 4, 8, 16, 32].map((b) => z.literal(b as Bits))),
  group: z.union([z.literal(0), z.literal(32), z.literal(64), z.literal(128)]),
  zero: z.number().min(0).max(255),
  levels: z.array(z.number().int().min(-127).max(127)).optional(),
  trellis: z.literal(true).optional(),
  rotated: z.literal(true).optional(),
}).superRefine((f, context) => {
  const wrong = f.levels !== undefined &&
    (f.bits > 4 || f.levels.length !== 2 ** f.bits || f.zero !== 0 ||
      f.levels.some((l, i) => i > 0 && l <= f.levels![i - 1]!));
  if (wrong) context.addIssue("has levels that are not 2^bits ascending ones with a zero of 0");
  if (f.trellis && (f.bits !== 2 || f.levels !== undefined || f.zero !== 0)) {
    context.addIssue("is a trellis without 2 bits, with levels, or with a zero other than 0");
  }
  if (f.rotated && f.bits >= 16) context.addIssue("is rotated without codes");
});

/** A run of bytes of one object with their hash: the unit of reading and verifying. */
const blockRef = z.strictObject({
  /** Index into `objects`. */
  object: whole,
  offset: whole,
  length: positive.max(2 ** 31),
  sha256,
});

const trunkTensor = z.strictObject({
  name: z.string().min(1).max(256),
  shape: z.array(positive).min(1).max(2),
  /** Index into `formats`. */
  format: whole,
  /** The tensor's bytes in order, cut so that no block is over TRUNK_BLOCK_BYTES. */
  blocks: z.array(blockRef).min(1),
});

const expertLayer = z.strictObject({
  stack: z.enum(["encoder", "decoder"]),
  layer: whole,
  /** One entry an expert: its block and the index of its width in `formats`. */
  experts: z.array(z.strictObject({ format: whole, block: blockRef })).min(1).max(65536),
});

const storeObject = z.strictObject({
  /** Content name: the object's sha256 and ".moqe"; no directory, no origin. */
  name: z.string().regex(/^[0-9a-f]{64}\.(moqe|json)$/, "is not a content name"),
  bytes: positive,
});

/** UTF-16 units of a model's chat templates together. */
export const MAX_TEMPLATES_CHARS = 256 * 1024;

/** A model's chat templates: Jinja under its name, "default" for the one that serves any chat. */
export const chatTemplatesSchema = z.array(
  z.strictObject({ name: z.string().min(1).max(64), template: z.string() }),
).min(1).max(16).superRefine((all, context) => {
  if (all.reduce((sum, t) => sum + t.template.length, 0) > MAX_TEMPLATES_CHARS) {
    context.addIssue(`has more than ${MAX_TEMPLATES_CHARS} characters`);
  }
  if (new Set(all.map((t) => t.name)).size < all.length) context.addIssue("has a name twice");
});

/** A pair of FLORES-200 codes, "eng_Latn-deu_Latn". */
const pair = z.string().regex(
  /^[a-z]{3}_[A-Z][a-z]{3}-[a-z]{3}_[A-Z][a-z]{3}$/,
  "is not a pair of FLORES codes",
);

export const manifestSchema = z.strictObject({
  format: z.literal("moqe"),
  version: z.literal(FORMAT_VERSION),
  name: z.string().min(1).max(128),
  /** config.json of the checkpoint as it was; its model_type picks the architecture file. */
  config: z.looseObject({ model_type: z.string() }),
  /** generation_config.json of the checkpoint, if it had one. */
  generation: z.looseObject({}),
  /** tokenizer.json as one block, and tokenizer_config.json inline. */
  tokenizer: z.strictObject({ block: blockRef, config: z.looseObject({}) }),
  /** Left out where the checkpoint has none. */
  chatTemplates: chatTemplatesSchema.optional(),
  /** None for a model that is prompted and may be asked for any language. */
  pairs: z.array(pair),
  formats: z.array(matrixFormat).min(1).max(64),
  objects: z.array(storeObject).min(1).max(100_000),
  trunk: z.array(trunkTensor).min(1).max(100_000),
  expertLayers: z.array(expertLayer).max(4096),
  /** How the weights were made: checkpoint, quantizers, packer version. No dates: equal inputs give equal bytes. */
  provenance: z.strictObject({
    /** The model's name; of a hub's repository hf://ORG/NAME@COMMIT. */
    checkpoint: z.string(),
    /** Languages as that repository's card names them. */
    languages: z.array(z.string().min(1)).optional(),
    quantizer: z.string(),
    packer: z.string(),
  }),
  licence: z.strictObject({ id: z.string().min(1), text: z.string().optional() }),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type BlockRef = z.infer<typeof blockRef>;
export type TrunkTensor = z.infer<typeof trunkTensor>;
export type ManifestFormat = z.infer<typeof matrixFormat>;

/** A trunk tensor is cut into blocks of at most this, so that it streams to its place through a small buffer. */
export const TRUNK_BLOCK_BYTES = 4 * 2 ** 20;

/** Parses and checks a manifest's text. Throws MoqeError `corrupt` that lists every fault (at most 20 lines). */
export function parseManifest(text: string, origin: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid(origin, [`it is not JSON: ${(cause as Error).message}`]);
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    throw invalid(origin, parsed.error.issues.map((i) => `${i.path.join(".")} ${i.message}`));
  }
  const faults = crossCheck(parsed.data);
  if (faults.length > 0) throw invalid(origin, faults);
  return parsed.data;
}

/** Faults between fields: indices, ranges inside their object, one range under two hashes, names said twice. */
function crossCheck(m: Manifest): string[] {
  const faults: string[] = [];
  const seen = new Map<string, string>();
  const block = (where: string, ref: BlockRef) => {
    const object = m.objects[ref.object];
    if (object === undefined) {
      return void faults.push(`${where} names object ${ref.object}, which is not listed`);
    }
    if (ref.offset + ref.length > object.bytes) {
      faults.push(
        `${where} ends at byte ${ref.offset + ref.length} of an object of ${object.bytes}`,
      );
    }
    const place = `${ref.object}:${ref.offset}:${ref.length}`;
    const before = seen.get(place);
    if (before !== undefined && before !== ref.sha256) {
      faults.push(`${where} is listed twice with two hashes`);
    }
    seen.set(place, ref.sha256);
  };
  const format = (where: string, index: number) => {
    if (index >= m.formats.length) {
      faults.push(`${where} names format ${index}, which is not listed`);
    }
  };
  block("tokenizer", m.tokenizer.block);
  twice(m.trunk.map((t) => t.name), "trunk tensor", faults);
  twice(m.expertLayers.map((l) => `${l.stack}.${l.layer}`), "expert layer", faults);
  twice(m.objects.map((o) => o.name), "object", faults);
  for (const t of m.trunk) {
    format(t.name, t.format);
    if (m.formats[t.format]?.trellis) {
      faults.push(`${t.name} is a trellis, which only experts can be`);
    }
    t.blocks.forEach((b, i) => block(`${t.name} block ${i}`, b));
  }
  for (const l of m.expertLayers) {
    l.experts.forEach((e, i) => {
      const where = `${l.stack} layer ${l.layer} expert ${i}`;
      format(where, e.format);
      block(where, e.block);
    });
  }
  return faults;
}

function twice(names: string[], what: string, faults: string[]): void {
  const seen = new Set<string>();
  for (const n of names) {
    if (seen.has(n)) faults.push(`${what} ${n} is listed twice`);
    seen.add(n);
  }
}

function invalid(origin: string, faults: string[]): MoqeError {
  const shown = faults.slice(0, 20);
  if (faults.length > shown.length) shown.push(`... and ${faults.length - shown.length} more`);
  return new MoqeError("corrupt", {
    action: `use the manifest of ${origin}`,
    rule: `it has ${faults.length} fault${faults.length === 1 ? "" : "s"}:\n  ${
      shown.join("\n  ")
    }\n`,
    remedy: "pack the checkpoint again, or check that the address is a moqe model",
  });
}

/** A pair of the manifest, eng_Latn-deu_Latn, in its two FLORES codes. */
export function pairSides(pair: string): { source: string; target: string } {
  const [source, target] = pair.split("-") as [string, string];
  return { source, target };
}
