import { assertEquals, assertThrows } from "@std/assert";
import { parallelSet } from "./measure.ts";

Deno.test("a test of the everyday text gives each pair its own column, in the file's order", () => {
  const file = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(file, "one\teins\tun\tuno\ntwo \t zwei\tdeux\tdos\n");
    const { source, target, sources, references } = parallelSet(file, "en-de");
    assertEquals([source, target], ["eng_Latn", "deu_Latn"]);
    assertEquals([sources, references], [["one", "two"], ["eins", "zwei"]]);
    assertEquals(parallelSet(file, "en-fr").references, ["un", "deux"]);
    assertEquals(parallelSet(file, "en-es").references, ["uno", "dos"]);
    assertThrows(() => parallelSet(file, "en-it"), RangeError, "has no en-it");
  } finally {
    Deno.removeSync(file);
  }
});
