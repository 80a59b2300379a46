/** The goldens of decoder-only families (tests/goldens/README.md), packed without loss and assembled. */
import { architectureOf } from "../../src/arch/registry.ts";
import { DiskFolder } from "../../src/checkpoint/disk_folder.ts";
import { openTensors } from "../../src/checkpoint/tensor_source.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import type { PackWidths } from "../../src/pack/widths.ts";
import { FileStore } from "../../src/store/file_store.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { expertsPerToken } from "../../src/engine/budget.ts";
import { GOLDENS, type GoldenTensor } from "./golden.ts";
import { type TestModel, type TestModelOptions, withPacked } from "./model.ts";

/** Families that have checkpoints: folders of tests/goldens. */
export const DECODERS = ["qwen3_moe", "olmoe", "mixtral", "granitemoe", "gpt_oss"] as const;
export type DecoderFamily = typeof DECODERS[number];

export interface DecoderGolden {
  name: string;
  tolerance: number;
  new_tokens: number;
  prompts: {
    tokens: number[];
    /** Logits of the last position, and of one prompt those of all. */
    last: GoldenTensor;
    logits?: GoldenTensor;
    greedy: number[];
    /** How many of `greedy` end tokens leave. */
    stopped?: number;
  }[];
}

/** Names of a family's checkpoints. */
export function decoderNames(family: DecoderFamily): string[] {
  return Array.from(Deno.readDirSync(new URL(`${family}/`, GOLDENS)), (e) => e.name).sort();
}

export function readDecoderGolden(family: DecoderFamily, name: string): DecoderGolden {
  return JSON.parse(Deno.readTextFileSync(new URL(`${family}/${name}/golden.json`, GOLDENS)));
}

const FULL_WIDTH = { experts: { bits: 16 }, trunk: { bits: 16 }, embedding: { bits: 16 } } as const;

/** Packs a checkpoint, which has no tokenizer, into a folder. */
export async function packDecoder(
  family: DecoderFamily,
  name: string,
  out: string,
  widths: PackWidths = FULL_WIDTH,
): Promise<Manifest> {
  const folder = new URL(`${family}/${name}/`, GOLDENS).pathname;
  const config = JSON.parse(await Deno.readTextFile(`${folder}config.json`));
  const weights = await openTensors(new DiskFolder(folder));
  try {
    const texts = {
      config,
      generation: {},
      tokenizer: new TextEncoder().encode("{}"),
      tokenizerConfig: {},
      chatTemplates: [],
    };
    const { plan } = architectureOf(config).read(config);
    const { manifest } = await packCheckpoint({ texts, weights }, plan, new FileStore(out), {
      ...widths,
      name,
      pairs: ["eng_Latn-deu_Latn"],
      licence: { id: "CC0-1.0" },
    });
    return manifest;
  } finally {
    weights.close();
  }
}

/** Packs a checkpoint at full width and runs `use` on it; `slots` 0: as few as a token needs. */
export async function withDecoder(
  family: DecoderFamily,
  name: string,
  use: (m: TestModel) => Promise<void>,
  { slots, ...options }: TestModelOptions & { slots?: number | undefined } = {},
): Promise<void> {
  const out = await Deno.makeTempDir({ prefix: "moqe-test-" });
  try {
    const manifest = await packDecoder(family, name, out);
    const { spec } = architectureOf(manifest.config).read(manifest.config);
    const maxSlots = slots === 0 ? expertsPerToken(spec) : slots;
    await withPacked(out, manifest, use, { maxSlots, ...options });
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}
