/** moqe translate FILE...: names, refusals, resume after a kill, outputs whole or not there. With the shipped model. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { FileJournal } from "../../src/cli/file_journal.ts";
import { mark } from "../../src/cli/file_marks.ts";
import { moqe, spawnMoqe } from "./moqe.ts";

const PAIR = ["--from", "en", "--to", "de", "--beams", "1"];

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "moqe-files-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((e) => e.name).sort();
}

Deno.test("files go beside their sources by format, one that is ill formed is passed over", async () => {
  await inFolder(async (folder) => {
    const files: Record<string, string> = {
      "a.md": "# Open the file\n\nSave `x y` and **close** https://a.b/c now.\n",
      "b.po": 'msgid "Could not open %s"\nmsgstr ""\n\nmsgid "Save"\nmsgstr "Sichern"\n',
      "bad.json": '{"a" "b"}',
      "c.srt": "1\n00:00:01,000 --> 00:00:02,000\nOpen the file.\n",
      "d.html": "<p>Open the <b>file</b>.</p><script>let text = 1;</script>",
    };
    for (const [name, text] of Object.entries(files)) {
      Deno.writeTextFileSync(`${folder}/${name}`, text);
    }
    const paths = Object.keys(files).map((name) => `${folder}/${name}`);
    const { code, out, err } = await moqe(["translate", ...PAIR, "--progress", ...paths]);
    assertEquals([code, out], [1, ""]);
    assertStringIncludes(err, "bad.json: cannot read the JSON: line 1, column 6");
    assertMatch(err, /4 files, \d+ tokens\/s in /);
    const made = ["a.de.md", "b.de.po", "c.de.srt", "d.de.html"];
    assertEquals(names(folder), [...Object.keys(files), ...made].sort());
    const read = (name: string) => Deno.readTextFileSync(`${folder}/${name}`);
    assertMatch(
      read("a.de.md"),
      /^# [^\n]+\n\n(?=[^\n]*`x y`)(?=[^\n]*\*\*[^*]+\*\*)(?=[^\n]*https:\/\/a\.b\/c[ .])[^\n]*\n$/,
    );
    assertMatch(
      read("b.de.po"),
      /^msgid "Could not open %s"\nmsgstr "[^"]*%s[^"]*"\n\nmsgid "Save"\nmsgstr "Sichern"\n$/,
    );
    assertMatch(read("c.de.srt"), /^1\n00:00:01,000 --> 00:00:02,000\n.+\n$/);
    assertMatch(
      read("d.de.html"),
      /^<p>[^<]*<b>[^<]+<\/b>[^<]*<\/p><script>let text = 1;<\/script>$/,
    );
  });
});

Deno.test("an output that is there is refused before the model loads, unless it may be replaced", async () => {
  await inFolder(async (folder) => {
    const source = `${folder}/a.txt`;
    Deno.writeTextFileSync(source, "Open the file.\n");
    Deno.writeTextFileSync(`${folder}/a.de.txt`, "mine");
    const refused = async (args: string[], rule: string) => {
      const { code, err } = await moqe(["translate", ...PAIR, "--model", "/no/model", ...args]);
      assertEquals(code, 2, err);
      assertStringIncludes(err, rule);
    };
    await refused([source], "it is there already");
    await refused([source, "--output", source], "it is the input");
    await refused([source, `${folder}/x.unknown`], "must end in one of");
    await refused([source, source, "--output-dir", `${folder}/out`], "would both go there");
    await refused([source, source, "--output", "y"], "--output is for one FILE");
    await refused(["--output", "y"], "needs a FILE");
    assertEquals(Deno.readTextFileSync(`${folder}/a.de.txt`), "mine");
    const { code, err } = await moqe([
      "translate",
      ...PAIR,
      source,
      "--overwrite",
      "--from",
      "auto",
    ]);
    assertEquals([code, err], [0, ""]);
    assert(Deno.readTextFileSync(`${folder}/a.de.txt`) !== "mine");
    assertEquals(names(folder), ["a.de.txt", "a.txt"]);
  });
});

Deno.test("standard input has a format, a glossary is kept to", async () => {
  await inFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/terms.tsv`, "file\tAkte\n");
    const { code, out } = await moqe(
      [
        "translate",
        ...PAIR,
        "--format",
        "json",
        "--glossary",
        `${folder}/terms.tsv`,
        "--json-keys",
        "a",
      ],
      { input: '{"a": "Open the file.", "b": "Open the file."}' },
    );
    assertEquals(code, 0);
    assertMatch(JSON.parse(out).a, /\bAkte\b/);
    assertEquals(JSON.parse(out).b, "Open the file.");
  });
});

Deno.test("standard input beyond the most is refused, not cut", async () => {
  const input = new TextEncoder().encode("Open the file.\n".repeat(5 * 2 ** 20));
  const { code, out, err } = await moqe(
    ["translate", ...PAIR, "--format", "text", "--host-memory", "4GiB"],
    { input },
  );
  assertEquals([code, out], [1, ""]);
  assertMatch(err, /cannot read standard input: it has more than 64\.0 MiB/);
});

Deno.test("the language of a file is that of its text, not of its styles", async () => {
  await inFolder(async (folder) => {
    const style = ".btn { margin: 0 auto; padding: 1em; border-radius: 3px; }\n".repeat(300);
    const text = "Die Datei konnte nicht geöffnet werden. Wählen Sie einen anderen Ordner.";
    const page =
      `<html><head><style>${style}</style></head><body lang="de"><p>${text}</p></body></html>`;
    Deno.writeTextFileSync(`${folder}/a.html`, page);
    const { code } = await moqe(["translate", "--from", "auto", "--to", "en", `${folder}/a.html`]);
    assertEquals(code, 0);
    assert(!Deno.readTextFileSync(`${folder}/a.en.html`).includes("geöffnet"));
  });
});

Deno.test("a run that is killed, then interrupted, goes on from its journal to the same bytes", async () => {
  await inFolder(async (folder) => {
    const things = [
      "file",
      "window",
      "folder",
      "message",
      "image",
      "page",
      "font",
      "colour",
      "key",
      "list",
    ];
    const verbs = ["Open", "Close", "Delete", "Save", "Rename", "Print"];
    const lines = things.flatMap((thing) =>
      verbs.flatMap((verb) =>
        ["the", "this", "my"].map((which) => `${verb} ${which} ${thing} now.`)
      )
    );
    const source = `${folder}/a.txt`,
      output = `${folder}/a.de.txt`,
      journal = `${output}.moqe-journal`;
    Deno.writeTextFileSync(source, lines.join("\n"));
    const args = ["translate", ...PAIR, source, "--progress"];
    const whole = await moqe([...args, "--output", `${folder}/whole.txt`]);
    assertEquals(whole.code, 0, whole.err);
    for (const signal of ["SIGKILL", "SIGINT"] as const) {
      const before = entries(journal);
      const child = spawnMoqe(args);
      let seen = before;
      while ((seen = entries(journal)) <= before) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert(seen - before < 64, "what is finished does not wait for its batch");
      child.kill(signal);
      const { code } = await child.output();
      assert(code !== 0, "it was stopped before its end");
      assertEquals(names(folder), ["a.de.txt.moqe-journal", "a.txt", "whole.txt"]);
      // A line that a kill tore is dropped.
      if (signal === "SIGKILL") Deno.writeTextFileSync(journal, '["torn', { append: true });
    }
    const last = await moqe(args);
    assertEquals(last.code, 0, last.err);
    assertMatch(last.err, /, \d+ sentences from before in /);
    assertEquals(names(folder), ["a.de.txt", "a.txt", "whole.txt"]);
    assertEquals(Deno.readTextFileSync(output), Deno.readTextFileSync(`${folder}/whole.txt`));
  });
});

Deno.test("sentences that an interrupted run cut shorter are translated again", async () => {
  await inFolder(async (folder) => {
    const source = `${folder}/a.txt`, journal = `${folder}/a.de.txt.moqe-journal`;
    const lines = Array.from({ length: 60 }, (_, i) => `Close the window of number ${i} now.`);
    Deno.writeTextFileSync(source, lines.join("\n"));
    const args = ["translate", ...PAIR, source, "--progress"];
    const child = spawnMoqe([...args, "--max-source-tokens", "8"]);
    while (entries(journal) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill("SIGKILL");
    await child.output();
    const { code, err } = await moqe(args);
    assertEquals([code, err.includes("from before")], [0, false], err);
  });
});

Deno.test("a run over several files that is interrupted goes on with the same command", async () => {
  await inFolder(async (folder) => {
    const [first, second] = [`${folder}/a.txt`, `${folder}/b.txt`];
    const lines = Array.from({ length: 100 }, (_, i) => `Close the window of number ${i} now.`);
    Deno.writeTextFileSync(first, "Open the file.\n");
    Deno.writeTextFileSync(second, lines.join("\n"));
    const args = ["translate", ...PAIR, first, second, "--progress"];
    const interrupted = async () => {
      const child = spawnMoqe(args), before = entries(`${folder}/b.de.txt.moqe-journal`);
      while (entries(`${folder}/b.de.txt.moqe-journal`) <= before) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      child.kill("SIGKILL");
      await child.output();
    };
    await interrupted();
    const done = Deno.statSync(`${folder}/a.de.txt`).mtime;
    await interrupted();
    const last = await moqe(args);
    assertEquals(last.code, 0, last.err);
    assertMatch(last.err, /2 files, .* sentences from before in /);
    assertEquals(Deno.statSync(`${folder}/a.de.txt`).mtime, done);
    assertEquals(names(folder), ["a.de.txt", "a.txt", "b.de.txt", "b.txt"]);
    assertEquals((await moqe(args)).code, 2, "what a run that ended has made is not replaced");
  });
});

Deno.test("an output that changed since the interrupt is not passed over and not replaced", async () => {
  await inFolder(async (folder) => {
    const [first, second] = [`${folder}/a.txt`, `${folder}/b.txt`];
    for (const path of [first, second]) Deno.writeTextFileSync(path, "Open the file.\n");
    Deno.writeTextFileSync(`${folder}/a.de.txt`, "mine");
    await mark(`${folder}/a.de.txt`, "made", new TextEncoder().encode("theirs"));
    const { code, err } = await moqe(["translate", ...PAIR, first, second]);
    assertEquals(code, 1);
    assertStringIncludes(err, "a.de.txt: it is there already");
    assertEquals(Deno.readTextFileSync(`${folder}/a.de.txt`), "mine");
    assertEquals(names(folder), ["a.de.txt", "a.txt", "b.de.txt", "b.txt"]);
  });
});

function entries(journal: string): number {
  try {
    return Deno.readTextFileSync(journal).match(/^\["[0-9a-f]{32}",/gm)?.length ?? 0;
  } catch {
    return 0;
  }
}

Deno.test("a journal of another model or setting is begun anew; torn lines are dropped", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/j`;
    const first = await FileJournal.open(path, "one");
    await first.add(["a", "b"], ["A", "Grüße 日本"]);
    await first.close({ remove: false });
    Deno.writeTextFileSync(path, '["0123", "tor', { append: true });
    const again = await FileJournal.open(path, "one");
    assertEquals([again.size, again.take("a"), again.take("a"), again.take("b")], [
      2,
      "A",
      undefined,
      "Grüße 日本",
    ]);
    await again.add(["c"], ["C"]);
    await again.close({ remove: false });
    const third = await FileJournal.open(path, "one");
    assertEquals([third.size, third.take("c")], [3, "C"]);
    await third.close({ remove: false });
    const other = await FileJournal.open(path, "two");
    assertEquals(other.size, 0);
    await other.close({ remove: true });
    assertEquals(names(folder), []);
  });
});
