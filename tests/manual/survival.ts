/**
 * How many texts with placeholders, addresses, numbers and tags a model breaks by itself, and what keeping them costs.
 * deno run -A tests/manual/survival.ts PAIRS.tsv TARGET [ROWS]: lines of English, a tab, whatever.
 */
import { startEngine } from "../../src/engine/client.ts";
import { findSpans } from "../../src/text/rich/spans.ts";
import { translateStrings } from "../../src/text/strings.ts";

const [path, target = "deu_Latn", rows = "300"] = Deno.args;
const texts = Deno.readTextFileSync(path!).split("\n").map((line) => line.split("\t")[0]!)
  .filter((text) => findSpans(text).length > 0).slice(0, Number(rows));
const model = new URL("../../models/tiny-en-de-fr-es", import.meta.url).pathname;
const engine = startEngine({
  model,
  device: "cpu",
  gpuMemory: 256 * 2 ** 20,
  hostMemory: 512 * 2 ** 20,
  threads: 2,
  maxBatchTokens: 512,
  maxQueue: 4096,
  maxSourceTokens: 256,
});
await engine.ready;
const settings = {
  source: "eng_Latn",
  target,
  beams: 1,
  lengthPenalty: 1,
  maxTokens: 256,
  alternatives: 0,
};
let asked = 0;
const translate = async (list: readonly string[]) => {
  asked += list.length;
  const found = await engine.translate({ ...settings, texts: [...list], split: "off" });
  return found.map((t) => t.text);
};
const spansOf = (text: string) =>
  findSpans(text).map((s) => text.slice(s.start, s.end)).sort().join("\n");
const broken = (out: readonly string[]) =>
  out.filter((o, i) => spansOf(o) !== spansOf(texts[i]!)).length;

const direct = await engine.translate({ ...settings, texts });
const kept = await translateStrings(texts, translate, { source: "en", target });
console.log(
  `${texts.length} texts, ${broken(direct.map((t) => t.text))} broken by the model alone`,
);
console.log(
  `${broken(kept)} with other spans when kept; ${
    (asked / texts.length).toFixed(2)
  } sentences asked a text`,
);
for (const [i, text] of kept.entries()) {
  if (spansOf(text) !== spansOf(texts[i]!)) console.log(`  ${texts[i]}\n  ${text}`);
}
await engine.close();
