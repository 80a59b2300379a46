/** Texts through an engine, as the commands that translate ask it. */
import { assertEquals, assertRejects } from "@std/assert";
import { translateTexts } from "../../src/cli/texts.ts";

const SETTINGS = {
  source: "eng_Latn",
  target: "deu_Latn",
  beams: 1,
  lengthPenalty: 1,
  maxTokens: 16,
  alternatives: 0,
};

Deno.test("an interrupt is not kept waiting by an engine amid a step", async () => {
  const { promise } = Promise.withResolvers<never>();
  let cancelled = false;
  const engine: Parameters<typeof translateTexts>[0] = {
    translate(_, options) {
      options?.signal?.addEventListener("abort", () => cancelled = true);
      return promise;
    },
  };
  const interrupt = new AbortController();
  const asked = translateTexts(engine, SETTINGS, ["Open the file."], interrupt.signal);
  interrupt.abort(new Error("Ctrl-C"));
  await assertRejects(() => asked, Error, "Ctrl-C");
  assertEquals(cancelled, true);
});
