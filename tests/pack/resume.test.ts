/** Packs that end early go on where they ended, and believe nothing that they cannot check. */
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { JOURNAL_NAME, journalAt } from "../../src/pack/journal.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { contents, packGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

/** A store that fails at its n-th write. */
class FailingStore extends FileStore {
  constructor(folder: string, public left: number) {
    super(folder);
  }

  override write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<string> {
    if (this.left-- === 0) return Promise.reject(new Error("pulled the plug"));
    return super.write(name, bytes);
  }
}

const NAME = "every_layer";

async function wholePack(): Promise<Map<string, Uint8Array>> {
  using folder = temporaryFolder();
  await packGolden(NAME, new FileStore(folder.path));
  return contents(folder.path);
}

/** Packs until the given write, then looks at the folder, then packs on. */
async function interrupted(writes: number, between: (folder: string) => void = () => {}) {
  using folder = temporaryFolder();
  const journal = journalAt(`${folder.path}/${JOURNAL_NAME}`);
  const failing = new FailingStore(folder.path, writes);
  await assertRejects(() => packGolden(NAME, failing, { journal }), Error, "plug");
  between(folder.path);
  const { resumedBlocks } = await packGolden(NAME, new FileStore(folder.path), { journal });
  return { resumedBlocks, files: contents(folder.path) };
}

Deno.test("interrupted at any write, a pack ends with the same bytes and repeats no block", async () => {
  const whole = await wholePack();
  assertGreater(whole.size, 6);
  let before = -1;
  for (let writes = 0; writes < whole.size; writes++) {
    const { files, resumedBlocks } = await interrupted(writes);
    assertEquals(files, whole);
    assert(resumedBlocks >= before, "more was done, so more is kept");
    before = resumedBlocks;
  }
  assertGreater(before, 20);
});

Deno.test("a torn last line of the journal is not believed", async () => {
  const whole = await wholePack();
  const full = await interrupted(4);
  const torn = await interrupted(4, (folder) => {
    const path = `${folder}/${JOURNAL_NAME}`;
    Deno.truncateSync(path, Deno.statSync(path).size - 7);
  });
  assert(torn.resumedBlocks < full.resumedBlocks);
  assertEquals(torn.files, whole);
});

Deno.test("a finished object that changed or vanished is made again", async () => {
  const whole = await wholePack();
  const harm = (act: (path: string) => void) => (folder: string) => {
    const first = JSON.parse(Deno.readTextFileSync(`${folder}/${JOURNAL_NAME}`).split("\n")[1]!);
    act(`${folder}/${first.object.name}`);
  };
  const acts = [
    (path: string) => Deno.removeSync(path),
    (path: string) => Deno.truncateSync(path, 100),
  ];
  for (const act of acts) {
    const { files, resumedBlocks } = await interrupted(4, harm(act));
    assertEquals(resumedBlocks, 0);
    assertEquals(files, whole);
  }
});

Deno.test("another pack's journal is refused, and given up where that is asked for", async () => {
  using folder = temporaryFolder();
  const journal = journalAt(`${folder.path}/${JOURNAL_NAME}`);
  const failing = new FailingStore(folder.path, 5);
  await assertRejects(() => packGolden(NAME, failing, { journal, trunk: { bits: 8 } }), Error);
  const store = new FileStore(folder.path);
  const refused = await assertRejects(() => packGolden(NAME, store, { journal }), MoqeError);
  assertEquals(refused.code, "bad_input");
  const { resumedBlocks, manifest } = await packGolden(NAME, store, { journal, anew: true });
  assertEquals(resumedBlocks, 0);
  const whole = await wholePack();
  assertEquals(
    JSON.stringify(manifest),
    new TextDecoder().decode(whole.get("manifest.json")).trim(),
  );
});

Deno.test("a second pack into a folder is refused while the first runs, and the first ends whole", async () => {
  using folder = temporaryFolder();
  const journal = () => journalAt(`${folder.path}/${JOURNAL_NAME}`);
  const packs = [1, 2].map(() =>
    packGolden(NAME, new FileStore(folder.path), { journal: journal() })
  );
  const [one, other] = await Promise.allSettled(packs);
  const failed = [one, other].filter((r) => r!.status === "rejected");
  assertEquals(failed.length, 1);
  const { reason } = failed[0] as PromiseRejectedResult;
  assertEquals([reason.code, /another moqe packs into it/.test(reason.message)], [
    "unavailable",
    true,
  ]);
  assertEquals(contents(folder.path), await wholePack());
});

Deno.test("a lock that a killed pack left keeps nobody away", async () => {
  using folder = temporaryFolder({ [`${JOURNAL_NAME}.lock`]: "" });
  const journal = journalAt(`${folder.path}/${JOURNAL_NAME}`);
  await packGolden(NAME, new FileStore(folder.path), { journal });
  assertEquals(contents(folder.path), await wholePack());
});
