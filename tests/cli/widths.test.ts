/** Widths as flags say them: what a part takes of the experts' quantizer. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { packWidths } from "../../src/cli/widths.ts";
import { describeRecipes, expertRecipe, resolveWidths } from "../../src/pack/widths.ts";

const NONE = {
  quantizer: undefined,
  rounding: undefined,
  group: undefined,
  rotate: false,
} as const;
const WIDTHS = { experts: "2bit", trunk: "8bit", embedding: "8bit", lmHead: undefined } as const;
const NO_EXPERTS = { expertLayers: [] };

/** The parts' formats. */
function formats(part: string[], quantizer: "trellis" | "lloyd") {
  const widths = packWidths({ ...WIDTHS, ...NONE, quantizer, part } as never, NO_EXPERTS);
  const { experts, exceptions } = resolveWidths(widths);
  return { experts, part: (name: string) => exceptions.get(name)! };
}

Deno.test("parts beside a trellis get what there is at their bits", () => {
  const { experts, part } = formats(
    ["attention=4bit", "encoder.dense_ffn=2bit", "decoder.dense_ffn=8bit", "decoder.experts=4bit"],
    "trellis",
  );
  assertEquals(experts.encoder.format.trellis, true);
  assertEquals([experts.decoder.quantizer, experts.decoder.format.bits], ["lloyd", 4]);
  assertEquals(part("encoder.attention").quantizer, "lloyd");
  assertEquals(part("encoder.dense_ffn").quantizer, "lloyd");
  assertEquals(part("decoder.dense_ffn").quantizer, "symmetric");
});

Deno.test("one layer's experts go before their stack's", () => {
  const widths = packWidths(
    {
      ...WIDTHS,
      ...NONE,
      quantizer: "trellis",
      part: ["decoder.3.experts=4bit", "decoder.experts=3bit"],
    } as never,
    NO_EXPERTS,
  );
  const recipes = resolveWidths(widths);
  const bits = (stack: "encoder" | "decoder", layer: number) =>
    expertRecipe(recipes, { stack, layer }).format.bits;
  assertEquals([bits("encoder", 3), bits("decoder", 2), bits("decoder", 3)], [2, 3, 4]);
  assertStringIncludes(describeRecipes(recipes), "decoder 3 experts 4-bit lloyd group 64");
  assertThrows(() => formats(["decoder.3.attention=4bit"], "lloyd"), MoqeError, "parts are");
});

Deno.test("a part without a name or a width is refused", () => {
  assertThrows(() => formats(["attention"], "lloyd"), MoqeError, "PART=WIDTH");
  assertThrows(() => formats(["attention=5bit"], "lloyd"), MoqeError, "PART=WIDTH");
  assertThrows(() => formats(["router=4bit"], "lloyd"), MoqeError, "parts are");
});
