/** What a hub says of one commit of a repository: its files, their hashes, and the model card's licence and languages. */
import { z } from "zod";
import { MoqeError } from "../base/errors.ts";
import type { ModelCard } from "./contract.ts";
import type { HubAddress } from "./hub_address.ts";
import { WEIGHT_FILES } from "./forms.ts";

/** One file; a mirror may leave out all but the name. */
export interface HubFile {
  readonly bytes: number | undefined;
  /** Of its content, where it is stored as a large file. */
  readonly sha256: string | undefined;
  /** git's name of its content, or of what stands for a large file. */
  readonly blobId: string | undefined;
}

export interface HubListing {
  readonly card: ModelCard;
  readonly files: ReadonlyMap<string, HubFile>;
}

const words = z.union([z.string(), z.array(z.string())]).nullish().catch(undefined);
const size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const schema = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40,64}$/),
  siblings: z.array(z.looseObject({
    rfilename: z.string(),
    size: size.nullish(),
    blobId: z.string().nullish(),
    lfs: z.looseObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size }).nullish(),
  })),
  cardData: z.looseObject({
    license: words,
    license_name: words,
    license_link: words,
    language: words,
    base_model: words,
  }).nullish().catch(undefined),
});

const MAX_LANGUAGES = 1000;
const MAX_WORD = 200;

/** Reads the hub's answer. Throws MoqeError `corrupt` for one that is none. */
export function readListing(text: string, { repository, revision }: HubAddress): HubListing {
  const parsed = schema.safeParse(json(text));
  if (!parsed.success) {
    throw new MoqeError("corrupt", {
      action: `open hf://${repository}`,
      rule: "the answer is not what a model hub says of a repository",
      observed: parsed.error.issues.map((i) => `${i.path.join(".")} ${i.message}`).slice(0, 3)
        .join("; "),
      remedy: "check HF_ENDPOINT",
    });
  }
  const { sha, siblings, cardData } = parsed.data;
  const files = siblings.map((s): [string, HubFile] => [s.rfilename, {
    bytes: s.lfs?.size ?? s.size ?? undefined,
    sha256: s.lfs?.sha256,
    blobId: s.blobId ?? undefined,
  }]);
  return {
    files: new Map(files),
    card: {
      repository,
      revision,
      commit: sha,
      licence: licenceOf(list(cardData?.license), cardData ?? {}),
      languages: list(cardData?.language).slice(0, MAX_LANGUAGES),
      basedOn: list(cardData?.base_model),
    },
  };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function list(words: string | string[] | null | undefined): string[] {
  return [words ?? []].flat().filter((word) => word !== "" && word.length <= MAX_WORD);
}

/** Cards name a licence that has no identifier "other", and tell which elsewhere. */
function licenceOf(
  named: readonly string[],
  card: { license_name?: unknown; license_link?: unknown },
): ModelCard["licence"] {
  if (named.length === 0) return undefined;
  const own = (word: unknown) => typeof word === "string" && word !== "" ? word : undefined;
  const link = own(card.license_link);
  const id = named.join() === "other" ? own(card.license_name) ?? "other" : named.join(", ");
  return { id, ...(link === undefined ? {} : { text: link }) };
}

/** Kinds of files that hold a model in a form that is not read here. */
const OTHER_FORMS: readonly [kind: string, name: RegExp][] = [
  ["GGUF", /\.gguf$/i],
  ["ONNX", /\.onnx$/i],
  ["safetensors under other names", /\.safetensors$/i],
  ["torch under other names", /\.(bin|pt|pth|ckpt)$/i],
  ["TensorFlow", /\.(h5|pb|tflite)$/i],
  ["Flax", /\.msgpack$/i],
];

/**
 * Throws MoqeError `unsupported` for a repository without weights that can be read, with what there is instead, or without
 * its configuration or tokenizer.
 */
export function refuseIncomplete({ card, files }: HubListing): void {
  if (!WEIGHT_FILES.some((file) => files.has(file))) throw withoutWeights({ card, files });
  const lacking = ["config.json", "tokenizer.json"].find((file) => !files.has(file));
  if (lacking === undefined) return;
  throw new MoqeError("unsupported", {
    action: `use hf://${card.repository}`,
    rule: `it has no ${lacking}`,
    remedy: "name a repository that has one, or make it with transformers' save_pretrained " +
      "beside a copy of the weights, and name that folder",
  });
}

function withoutWeights({ card, files }: HubListing): MoqeError {
  const names = [...files.keys()];
  const seen = new Set<string>();
  const there = OTHER_FORMS.flatMap(([kind, form]) => {
    const found = names.filter((name) => form.test(name) && !seen.has(name));
    found.forEach((name) => seen.add(name));
    if (found.length === 0) return [];
    return [`${kind} (${found.length > 1 ? `${found.length} files, as ` : ""}${found[0]})`];
  });
  const based = card.basedOn.map((id) => `hf://${id}`);
  return new MoqeError("unsupported", {
    action: `read the weights of hf://${card.repository}`,
    rule: `it has none of ${WEIGHT_FILES.join(", ")}`,
    observed: there.length > 0 ? there.join(", ") : `${names.length} files without weights`,
    remedy: "name the repository with the original weights" +
      (based.length > 0 ? `; its card says that it was made from ${based.join(", ")}` : ""),
  });
}
