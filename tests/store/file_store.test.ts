/** File stores, and models opened by address. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { MANIFEST_NAME } from "../../src/store/manifest.ts";
import { openModel, openStore } from "../../src/store/open.ts";
import { sha256, testObject } from "../support/blocks.ts";
import { temporaryFolder } from "../support/safetensors.ts";

const object = testObject(2, 100);

async function* once(...chunks: Uint8Array[]) {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

Deno.test("objects are written whole and read by ranges", async () => {
  using folder = temporaryFolder();
  const store = new FileStore(`${folder.path}/new/folder`);
  assertEquals(await store.has(object.name), false);
  await store.write(object.name, once(object.bytes.subarray(0, 50), object.bytes.subarray(50)));
  assertEquals(await store.has(object.name), true);
  assertEquals(await store.readAll(object.name, 200), object.bytes);
  const range = { offset: 30, length: 90 };
  assertEquals(await store.readRange(object.name, range), object.bytes.slice(30, 120));
  assertEquals([...Deno.readDirSync(store.folder)].length, 1, "no temporary file is left");
});

Deno.test("a write that fails leaves no object", async () => {
  using folder = temporaryFolder();
  const store = new FileStore(folder.path);
  const failing = async function* () {
    yield await Promise.resolve(object.bytes);
    throw new Error("the disk is full");
  };
  await assertRejects(() => store.write(object.name, failing()), Error, "full");
  assertEquals(await store.has(object.name), false);
  await store.write(object.name, once(object.bytes));
  assertEquals(await store.readAll(object.name, 200), object.bytes);
});

Deno.test("short, missing, large and ill-named objects are refused", async () => {
  using folder = temporaryFolder({ [object.name]: object.bytes });
  const store = new FileStore(folder.path);
  const code = async (read: () => Promise<unknown>) => (await assertRejects(read, MoqeError)).code;
  assertEquals(
    await code(() => store.readRange(object.name, { offset: 150, length: 51 })),
    "corrupt",
  );
  // 2^40 bytes are not allocated for a file of 200.
  const huge = { offset: 0, length: 2 ** 40 };
  assertEquals(await code(() => store.readRange(object.name, huge)), "corrupt");
  assertEquals(await code(() => store.readAll(object.name, 199)), "corrupt");
  assertEquals(await code(() => store.readAll(`${"0".repeat(64)}.moqe`, 9)), "unavailable");
  for (const name of ["../x", "/etc/passwd", "x", `${object.name}\n`]) {
    assertEquals(await code(() => store.readAll(name, 9)), "corrupt");
    assertEquals(await code(() => store.has(name)), "corrupt");
    assertEquals(await code(() => store.write(name, once())), "corrupt");
  }
});

Deno.test("addresses are folders, file: and http(s) URLs", () => {
  assertEquals(openStore("models/x/").origin, "models/x");
  assertEquals(openStore("file:///a%20b/").origin, "/a b");
  assertEquals(openStore("https://u:p@h/m/?k=1").origin, "https://h/m");
  assertThrows(() => openStore("ftp://h/m"), MoqeError, "ftp:");
});

Deno.test("a manifest is refused by hash before it is looked at, and whole when it is wrong", async () => {
  const text = `{"format":"moqe","version":9}`;
  using folder = temporaryFolder({ [MANIFEST_NAME]: text });
  const right = sha256(new TextEncoder().encode(text));
  for (const wrong of ["", "0".repeat(64)]) {
    const error = await assertRejects(
      () => openModel(folder.path, { manifestSha256: wrong }),
      MoqeError,
      "sha256 must be",
    );
    assertEquals(error.code, "corrupt");
  }
  const faults = await assertRejects(
    () => openModel(folder.path, { manifestSha256: right }),
    MoqeError,
    "faults",
  );
  assert(faults.message.includes("version") && faults.message.includes("objects"));
  using empty = temporaryFolder();
  const missing = await assertRejects(() => openModel(empty.path), MoqeError, "no such file");
  assertEquals(missing.code, "unavailable");
});
