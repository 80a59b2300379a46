/** The decoder-only goldens hold what tests/goldens/README.md says: whole, consistent, small, and readable as checkpoints. */
import { assert, assertEquals } from "@std/assert";
import { DiskFolder } from "../../src/checkpoint/disk_folder.ts";
import { openTensors } from "../../src/checkpoint/tensor_source.ts";
import { GOLDENS, type GoldenTensor, goldenValues } from "../support/golden.ts";

const ROOT = GOLDENS.pathname;
const FAMILIES = ["qwen3_moe", "olmoe", "mixtral", "granitemoe", "gpt_oss"];

interface Prompt {
  tokens: number[];
  last: GoldenTensor;
  logits?: GoldenTensor;
  greedy: number[];
  stopped?: number;
  gaps: { router: number | null; greedy: number; largest: number };
}

interface Golden {
  name: string;
  family: string;
  tolerance: number;
  safety: number;
  new_tokens: number;
  matters: Record<string, number>;
  prompts: Prompt[];
}

const names = (path: string) => [...Deno.readDirSync(path)].map((entry) => entry.name).sort();
const folders = FAMILIES.flatMap((family) =>
  names(ROOT + family).map((name) => ({ family, name, path: `${ROOT}${family}/${name}/` }))
);
const read = (path: string) => JSON.parse(Deno.readTextFileSync(path));

/** The ids that end a text, as the folder names them. */
function endTokens(path: string, config: { eos_token_id?: number }): number[] {
  const generation = names(path).includes("generation_config.json")
    ? read(`${path}generation_config.json`)
    : {};
  return [generation.eos_token_id ?? config.eos_token_id ?? []].flat();
}

Deno.test("there are at least 34 decoder-only goldens, of 4 MB in all and under half a MB each file", () => {
  assert(folders.length >= 34, `${folders.length} folders`);
  const sizes = folders.flatMap(({ path }) => names(path).map((n) => Deno.statSync(path + n).size));
  assert(Math.max(...sizes) < 500_000);
  assert(sizes.reduce((a, b) => a + b) <= 4_000_000);
});

for (const { family, name, path } of folders) {
  Deno.test(`${family}/${name}: prompts, logits and tokens agree with each other`, () => {
    const golden: Golden = read(`${path}golden.json`);
    const config = read(`${path}config.json`);
    const ends = endTokens(path, config);
    assertEquals([golden.family, golden.name, config.model_type], [family, name, family]);
    assertEquals(golden.prompts.map((prompt) => prompt.logits !== undefined), [false, true, false]);
    for (const [key, moved] of Object.entries(golden.matters)) assert(moved >= 0.005, key);
    const { tolerance, safety } = golden;
    for (const { tokens, last, logits, greedy, stopped, gaps } of golden.prompts) {
      const row = goldenValues(last);
      assertEquals([last.shape, row.length], [[config.vocab_size], config.vocab_size]);
      assertEquals([greedy.length, greedy[0]], [golden.new_tokens, row.indexOf(Math.max(...row))]);
      assert(new Set(greedy).size >= 10);
      assert([...tokens, ...greedy].every((id) => id >= 0 && id < config.vocab_size));
      assert(gaps.greedy >= safety * tolerance * gaps.largest);
      assert(gaps.router === null || gaps.router >= safety * tolerance);
      const end = greedy.findIndex((id) => ends.includes(id));
      assertEquals(stopped, ends.length === 0 ? undefined : end < 0 ? greedy.length : end + 1);
      if (!logits) continue;
      assertEquals(logits.shape, [tokens.length, config.vocab_size]);
      assertEquals(goldenValues(logits).slice(-config.vocab_size), row);
    }
  });

  Deno.test(`${family}/${name}: its files open as a checkpoint, finite and of the configured shapes`, async () => {
    const config = read(`${path}config.json`);
    const source = await openTensors(new DiskFolder(path));
    try {
      const { vocab_size: vocab, hidden_size: width } = config;
      assertEquals(source.tensors.get("embed_tokens.weight")?.shape, [vocab, width]);
      assert(config.tie_word_embeddings || source.tensors.has("lm_head.weight"));
      for (const { name, dtype, shape } of source.tensors.values()) {
        if (dtype === "U8") continue;
        const rows = await source.readRows(name, 0, shape.length > 1 ? shape[0]! : 1);
        assert(
          rows.every((x) => Number.isFinite(x) && Math.fround(new Float16Array([x])[0]!) === x),
          name,
        );
      }
    } finally {
      source.close();
    }
  });
}
