import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { modelAddress } from "../../src/cli/model.ts";
import { withOtherModel } from "../support/other_model.ts";
import { moqe, spawnMoqe } from "./moqe.ts";

const PAIR = ["--from", "en", "--to", "de", "--beams", "1"];

Deno.test("moqe translate keeps the number, the order and the ends of lines", async () => {
  const lines = ["Open the file.", "", "  ", "Save the document.\r", "Open the file.", "Close"];
  const { code, out, err } = await moqe(["translate", ...PAIR], { input: lines.join("\n") });
  assertEquals([code, err], [0, ""]);
  const translated = out.split("\n");
  assertEquals(translated.length, lines.length);
  assertEquals(translated.slice(1, 3), ["", "  "]);
  assertEquals([translated[3]!.endsWith("\r"), out.endsWith("\n")], [true, false]);
  assertEquals(translated[0], translated[4], "equal lines have equal translations");
  assertEquals(
    translated.every((line, i) => (line.trim() === "") === (lines[i]!.trim() === "")),
    true,
  );
});

Deno.test("moqe translate keeps in lines what it keeps in files", async () => {
  const kept = ["`foo_bar`", "%(name)s", "{count}", "https://example.org/a?b=c", "1,234.5"];
  const lines = kept.map((span) => `Open ${span} and save the file. Close the window.`);
  const input = `${lines.join("\n")}\n`;
  const { code, out } = await moqe(["translate", ...PAIR], { input });
  assertEquals(code, 0);
  for (const [i, line] of out.trimEnd().split("\n").entries()) {
    assertStringIncludes(line, kept[i]!);
  }
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  const glossary = `${folder}/terms.tsv`;
  await Deno.writeTextFile(glossary, "window\tGlaspalast\n");
  const terms = await moqe(["translate", ...PAIR, "--glossary", glossary], { input });
  await Deno.remove(folder, { recursive: true });
  for (const line of terms.out.trimEnd().split("\n")) assertStringIncludes(line, "Glaspalast");
  // Lines of a text are lines of its file, too.
  const file = await moqe(["translate", ...PAIR, "--format", "text"], { input });
  assertEquals(out, file.out);
});

Deno.test("moqe translate of more lines than a batch has is in order", async () => {
  const words = ["File", "Edit", "View", "Help", "Open", "Close", "Save"];
  const lines = Array.from({ length: 200 }, (_, i) => words[i % words.length]!);
  const input = `${lines.join("\n")}\n`;
  const { code, out, err } = await moqe(["translate", ...PAIR, "--progress"], { input });
  assertEquals(code, 0);
  const translated = out.split("\n");
  assertEquals(translated.length, 201);
  for (let i = words.length; i < 200; i++) {
    assertEquals(translated[i], translated[i - words.length]);
  }
  assertMatch(err, /^200 lines, \d+ tokens\/s in /m);
});

Deno.test("moqe translate answers a line while its input is still open", async () => {
  const child = spawnMoqe(["translate", ...PAIR]);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("Open the file.\n"));
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assertEquals(new TextDecoder().decode(value).endsWith("\n"), true);
  // Ctrl-C at an idle terminal ends it at once.
  child.kill("SIGINT");
  const { code } = await child.status;
  assertEquals(code, 130);
  await Promise.all([reader.cancel(), writer.abort().catch(() => {}), child.stderr.cancel()]);
});

Deno.test("moqe translate refuses a pair that the model was not trained for", async () => {
  const models = ["--model", modelAddress(undefined)];
  const args = ["translate", "--from", "de", "--to", "en", "--beams", "1"];
  const { code, err } = await moqe([...args, ...models], { input: "Hallo" });
  assertEquals(code, 2);
  assertStringIncludes(err, "was trained for en-de, en-fr, en-es");
  // Of several models the first that has the pair translates.
  await withOtherModel(["deu_Latn-eng_Latn"], async (other) => {
    const both = [...args, ...models, "--model", other];
    const found = await moqe(both, { input: "Die Datei\n" });
    assertEquals([found.code, found.err], [0, ""]);
    assertEquals(
      found.out,
      (await moqe([...args, "--model", other], { input: "Die Datei\n" })).out,
    );
    const none = await moqe([...both, "--to", "fr"], { input: "Hallo" });
    assertEquals(none.code, 2);
    assertStringIncludes(none.err, "of 2 models none was trained for that, but for en-de, ");
  });
  // Of those that ship, too.
  const shipped = await moqe(args, { input: "Die Datei konnte nicht geöffnet werden.\n" });
  assertEquals([shipped.code, shipped.err], [0, ""]);
  assertMatch(shipped.out, /file/i);
});

Deno.test("moqe translate says what a missing model or device is", async () => {
  const missing = await moqe(["translate", ...PAIR, "--model", "/no/such/model"]);
  assertEquals(missing.code, 1);
  assertStringIncludes(missing.err, "/no/such/model");
  // The loader of Vulkan finds no driver.
  const env = { VK_DRIVER_FILES: "/nonexistent", VK_ICD_FILENAMES: "/nonexistent" };
  const gpu = await moqe(["translate", ...PAIR, "--device", "webgpu"], { env });
  assertEquals(gpu.code, 1);
  assertStringIncludes(gpu.err, "--device cpu");
});

Deno.test("too small a budget is refused with the least that would do", async () => {
  const { code, err } = await moqe(["translate", ...PAIR, "--gpu-memory", "10MiB"]);
  assertEquals(code, 1);
  assertStringIncludes(err, "give it --gpu-memory ");
});

Deno.test("more lines than the queue holds are translated by halves", async () => {
  const lines = Array.from({ length: 24 }, (_, i) => `Open the window of number ${i}.\n`).join("");
  const args = ["translate", "--from", "en", "--to", "de", "--beams", "1"];
  const whole = await moqe(args, { input: lines });
  const { code, out, err } = await moqe([...args, "--max-queue", "8"], { input: lines });
  assertEquals([code, err], [0, ""]);
  assertEquals(out, whole.out);
});
