/** The tokenizer goldens, unpacked. tests/goldens/README.md says what they hold. */
import { loadTokenizer, type TextTokenizer, type TokenizerJson } from "../../src/text/tokenizer.ts";

export interface TokenizerGolden {
  /** [text, ids] */
  lines: [string, number[]][];
  /** [text, ids, decoded ids] */
  hostile: [string, number[], string][];
  /** [ids, decoded] */
  decode: [number[], string][];
}

export const GOLDEN_TOKENIZERS = ["shared", "sentencepiece"] as const;

async function unpack(name: string): Promise<unknown> {
  const url = new URL(`../goldens/tokenizer/${name}.gz`, import.meta.url);
  const file = await Deno.open(url);
  return await new Response(file.readable.pipeThrough(new DecompressionStream("gzip"))).json();
}

export async function goldenJson(name: string): Promise<TokenizerJson> {
  return await unpack(`${name}.tokenizer.json`) as TokenizerJson;
}

export async function golden(name: string): Promise<[TextTokenizer, TokenizerGolden]> {
  const expected = await unpack(`${name}.json`) as TokenizerGolden;
  return [loadTokenizer(await goldenJson(name)), expected];
}
