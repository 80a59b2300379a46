/** Reads the goldens that transformers made (tests/goldens/README.md). */

export interface GoldenTensor {
  shape: number[];
  /** base64 of little-endian f32. */
  f32: string;
}

export interface GoldenSentence {
  source: number[];
  /** Left out where the model has no language tokens. */
  target?: number;
  encoded?: GoldenTensor;
  decoder_input: number[];
  logits: GoldenTensor;
  greedy: number[];
  beams: {
    tokens: number[];
    score: number;
    num_beams: number;
    length_penalty: number;
    early_stopping: boolean;
  }[];
}

/** What the answer to a sentence begins with, as a Job has it. */
export function prefixOf({ decoder_input: [start], target }: GoldenSentence) {
  return target === undefined ? { prefix: [start!] } : { prefix: [start!, target], forced: 1 };
}

export interface Golden {
  name: string;
  tolerance: number;
  max_length: number;
  sentences: GoldenSentence[];
}

export const GOLDENS = new URL("../goldens/", import.meta.url);

/** Architectures that have tiny checkpoints: folders of tests/goldens, as the files of src/arch are named. */
export const ARCHITECTURES = ["nllb_moe", "m2m_100", "switch_transformers"] as const;
export type GoldenArchitecture = typeof ARCHITECTURES[number];

/** Names of an architecture's tiny checkpoints. */
export function goldenNames(architecture: GoldenArchitecture = "nllb_moe"): string[] {
  return Array.from(Deno.readDirSync(new URL(`${architecture}/`, GOLDENS)), (e) => e.name).sort();
}

export function goldenFolder(name: string, architecture: GoldenArchitecture = "nllb_moe"): string {
  return new URL(`${architecture}/${name}`, GOLDENS).pathname;
}

export function readGolden(name: string, architecture: GoldenArchitecture = "nllb_moe"): Golden {
  return JSON.parse(Deno.readTextFileSync(`${goldenFolder(name, architecture)}/golden.json`));
}

export function goldenValues(tensor: GoldenTensor): Float32Array {
  const bytes = Uint8Array.from(atob(tensor.f32), (c) => c.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** max |a - b| and max |b|. */
export function difference(a: Float32Array, b: Float32Array): { most: number; largest: number } {
  if (a.length !== b.length) {
    throw new RangeError(`cannot compare ${a.length} with ${b.length} values`);
  }
  let most = 0, largest = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i]! - b[i]!);
    // NaN must fail a comparison with any tolerance.
    if (!(d <= most)) most = d;
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return { most, largest };
}
