/** moqe cache, as a program. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { moqe } from "./moqe.ts";

Deno.test("cache warm fills the folder, ls and stats show it, drop empties it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "moqe-cache-" });
  const cache = (...words: string[]) => moqe(["cache", ...words, "--disk-cache-dir", folder]);
  try {
    const half = await cache("warm", "--disk-cache", "12MiB", "--pairs", "en-de");
    assertEquals(half.code, 0, half.err);
    assertStringIncludes(half.out, "blocks of tiny-en-de-fr-es are there");
    const ls = await cache("ls");
    assert(/trunk\s+(\d+) of \1 /.test(ls.out), ls.out);
    const stats = await cache("stats");
    const [, count] = /: (\d+) blocks/.exec(stats.out)!;
    assert(Number(count) > 10);
    const again = await cache("warm", "--disk-cache", "12MiB", "--pairs", "en-de");
    assertStringIncludes(again.out, "0 B of them brought in");
    const smaller = await cache("warm", "--disk-cache", "5MiB", "--pairs", "en-de");
    const [, said] = /: (\d+) of /.exec(smaller.out)!;
    assertStringIncludes((await cache("stats")).out, `: ${said} blocks`);
    const dropped = await cache("drop");
    assertStringIncludes(dropped.out, `dropped ${said} blocks`);
    assertStringIncludes((await cache("stats")).out, ": 0 blocks");
    assertEquals((await cache("melt")).code, 2);
    assertEquals((await cache("warm")).code, 2, "without a budget");
    const untrained = await cache("warm", "--disk-cache", "1GiB", "--pairs", "en-it");
    assertEquals(untrained.code, 2);
    assertStringIncludes(untrained.err, "tiny-en-de-fr-es was trained for eng_Latn-deu_Latn");
    const file = await Deno.makeTempFile({ dir: folder });
    const none = await moqe(["cache", "stats", "--disk-cache-dir", file]);
    assertEquals(none.code, 1);
    assertStringIncludes(none.err, "name another folder: --disk-cache-dir");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
