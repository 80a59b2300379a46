/** Blocks in an order of their own: the same model, other places; killed, resumed and copied to the same bytes. */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { JOURNAL_NAME, journalAt } from "../../src/pack/journal.ts";
import type { BlockOrder } from "../../src/pack/order.ts";
import { reorderModel } from "../../src/pack/reorder.ts";
import { verifyModel } from "../../src/pack/verify.ts";
import { FileStore } from "../../src/store/file_store.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { openModel } from "../../src/store/open.ts";
import { contents, packGolden } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";

const NAME = "every_layer";

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

/** Experts of every layer from the last to the first, but for the first layer. */
function orderOf(manifest: Manifest): BlockOrder {
  return manifest.expertLayers.map(({ experts }, l) => {
    const plain = experts.map((_, e) => e);
    return l === 0 ? plain : plain.reverse();
  });
}

const blocks = (m: Manifest) =>
  m.expertLayers.map((l) => l.experts.map((e) => [e.format, e.block.sha256]));

async function plainPack(folder: string): Promise<Manifest> {
  return (await packGolden(NAME, new FileStore(folder))).manifest;
}

Deno.test("blocks lie in the order asked for, and every expert is what it was", async () => {
  using plain = temporaryFolder();
  using ordered = temporaryFolder();
  const before = await plainPack(plain.path);
  const order = orderOf(before);
  const store = new FileStore(ordered.path);
  const { manifest } = await packGolden(NAME, store, { order });
  assertEquals(blocks(manifest), blocks(before));
  assertEquals((await verifyModel(store, manifest)).faults, []);
  for (const [l, { experts }] of manifest.expertLayers.entries()) {
    const places = order[l]!.map((e) => experts[e]!.block);
    for (let i = 1; i < places.length; i++) {
      const [a, b] = [places[i - 1]!, places[i]!];
      assert(b.object > a.object || b.offset === a.offset + a.length, `layer ${l}, place ${i}`);
    }
  }
  const same = order.map((o) => [...o].sort((a, b) => a - b));
  using again = temporaryFolder();
  await packGolden(NAME, new FileStore(again.path), { order: same });
  assertEquals(contents(again.path), contents(plain.path), "the plain order changes nothing");
});

/** A folder's files with the manifest as JSON: a copy has its fields in another order. */
function parsed(folder: string): Map<string, unknown> {
  const files = new Map<string, unknown>(contents(folder));
  files.set("manifest.json", JSON.parse(Deno.readTextFileSync(`${folder}/manifest.json`)));
  return files;
}

Deno.test("a packed model copied in an order is one packed so, wherever it was cut off", async () => {
  using plain = temporaryFolder();
  using ordered = temporaryFolder();
  const order = orderOf(await plainPack(plain.path));
  await packGolden(NAME, new FileStore(ordered.path), { order });
  const whole = parsed(ordered.path);
  const model = await openModel(plain.path);
  const options = { order, objectBytes: 16 * 1024 };
  const texts = new Set<string>();
  let before = -1;
  for (let writes = 0; writes <= whole.size; writes++) {
    using copy = temporaryFolder();
    const journal = journalAt(`${copy.path}/${JOURNAL_NAME}`);
    if (writes < whole.size) {
      const failing = new FailingStore(copy.path, writes);
      await assertRejects(
        () => reorderModel(model, failing, { ...options, journal }),
        Error,
        "plug",
      );
    }
    const report = await reorderModel(model, new FileStore(copy.path), { ...options, journal });
    assertEquals(parsed(copy.path), whole);
    texts.add(Deno.readTextFileSync(`${copy.path}/manifest.json`));
    if (writes < whole.size) {
      assert(report.resumedBlocks >= before, "more was done, so more is kept");
      before = report.resumedBlocks;
    }
  }
  assert(before > 20);
  assertEquals(texts.size, 1, "every copy has the same bytes");
});

Deno.test("a damaged block is not copied", async () => {
  using plain = temporaryFolder();
  using copy = temporaryFolder();
  const manifest = await plainPack(plain.path);
  const { object, offset } = manifest.expertLayers[1]!.experts[2]!.block;
  const path = `${plain.path}/${manifest.objects[object]!.name}`;
  const bytes = Deno.readFileSync(path);
  bytes[offset + 5]! ^= 1;
  Deno.writeFileSync(path, bytes);
  const model = await openModel(plain.path);
  const error = await assertRejects(
    () => reorderModel(model, new FileStore(copy.path), { order: orderOf(manifest) }),
    MoqeError,
  );
  assertEquals(error.code, "corrupt");
  assert(!contents(copy.path).has("manifest.json"));
});

Deno.test("profiles go along, and equal blocks are stored once in any order", async () => {
  using plain = temporaryFolder();
  using copy = temporaryFolder();
  const manifest = await plainPack(plain.path);
  Deno.writeTextFileSync(`${plain.path}/profiles.json`, "{}");
  const twice = structuredClone(manifest);
  const { experts } = twice.expertLayers[0]!;
  experts[2] = structuredClone(experts[0]!);
  Deno.writeTextFileSync(`${plain.path}/manifest.json`, JSON.stringify(twice));
  const order = orderOf(manifest);
  const model = await openModel(plain.path);
  const report = await reorderModel(model, new FileStore(copy.path), { order });
  const [first, , third] = report.manifest.expertLayers[0]!.experts;
  assertEquals(third, first);
  assertEquals(new TextDecoder().decode(contents(copy.path).get("profiles.json")), "{}");
  assertEquals((await verifyModel(new FileStore(copy.path), report.manifest)).faults, []);
});

Deno.test("an order that lacks an expert, or names one twice, is refused with the layer", async () => {
  using plain = temporaryFolder();
  using out = temporaryFolder();
  const order = orderOf(await plainPack(plain.path));
  const store = new FileStore(out.path);
  const wrong: [BlockOrder, string][] = [
    [order.slice(1), `an order of ${order.length - 1}`],
    [order.with(1, order[1]!.slice(1)), "must have each of its"],
    [order.with(0, order[0]!.with(1, 0)), "must have each of its"],
    [order.with(0, order[0]!.with(1, -1)), "must have each of its"],
  ];
  for (const [bad, said] of wrong) {
    const error = await assertRejects(() => packGolden(NAME, store, { order: bad }), MoqeError);
    assertEquals(error.code, "bad_input");
    assert(error.message.includes(said), error.message);
  }
  assertEquals(contents(out.path).size, 0);
});

Deno.test("an unfinished pack in another order is not gone on with unless it is given up", async () => {
  using plain = temporaryFolder();
  using folder = temporaryFolder();
  const order = orderOf(await plainPack(plain.path));
  const journal = journalAt(`${folder.path}/${JOURNAL_NAME}`);
  await assertRejects(() => packGolden(NAME, new FailingStore(folder.path, 5), { journal, order }));
  const left = await journal.read();
  const store = new FileStore(folder.path);
  const error = await assertRejects(() => packGolden(NAME, store, { journal }), MoqeError);
  assert(error.message.includes("--anew"), error.message);
  assertEquals(await journal.read(), left, "nothing of it is lost");
  const anew = await packGolden(NAME, store, { journal, anew: true });
  assertEquals(anew.resumedBlocks, 0);
  assertEquals(
    contents(folder.path).get("manifest.json"),
    contents(plain.path).get("manifest.json"),
  );
  assertNotEquals(left, "");
});
