/**
 * A checkpoint, packed without quantization, against goldens made from it by tests/goldens/make.py shipped:
 *
 *   deno run -A tests/manual/agree.ts CHECKPOINT GOLDEN.json
 */
import { agreement } from "../support/agreement.ts";
import { withModel } from "../support/model.ts";

const [checkpoint, golden] = Deno.args;
if (golden === undefined) throw new Error("usage: agree.ts CHECKPOINT GOLDEN.json");
const widths = { experts: { bits: 16 }, trunk: { bits: 16 }, embedding: { bits: 16 } } as const;
await withModel(checkpoint!, widths, async (m) => {
  console.log(
    JSON.stringify(await agreement(m, JSON.parse(await Deno.readTextFile(golden))), null, 2),
  );
}, { gpuBytes: 400 * 2 ** 20, maxBatchTokens: 512, maxSourceTokens: 128 });
