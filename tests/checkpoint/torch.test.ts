/** Files of torch.save: every kind as torch itself reads it, by ranges; and what asks for more than tensors, by name. */
import { assert, assertEquals, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import type { TensorSource } from "../../src/checkpoint/contract.ts";
import { DiskFolder } from "../../src/checkpoint/disk_folder.ts";
import { HttpFolder } from "../../src/checkpoint/http_folder.ts";
import { openTensors } from "../../src/checkpoint/tensor_source.ts";
import { FileStore } from "../../src/store/file_store.ts";
import { goldenFolder } from "../support/golden.ts";
import { hostileStore } from "../support/hostile_store.ts";
import { contents, openGolden, packGolden } from "../support/packed.ts";
import { packCheckpoint } from "../../src/pack/pack.ts";
import { TEST_PACK } from "../support/pack_options.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { type MadeTensor, tensorPickle, torchFile, zipFile } from "../support/torch_files.ts";

const GOLDENS = new URL("../goldens/torch/", import.meta.url).pathname;
type Expected = Record<string, { dtype: string; shape: number[]; f32: string }>;
const EXPECTED: Record<string, Expected> = JSON.parse(
  await Deno.readTextFile(`${GOLDENS}expected.json`),
);
const decode = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/** Every tensor whole and in pieces of rows, held against what torch said. */
async function checkTensors(source: TensorSource, expected: Expected): Promise<void> {
  assertEquals([...source.tensors.keys()].sort(), Object.keys(expected).sort());
  for (const [name, { dtype, shape, f32 }] of Object.entries(expected)) {
    const tensor = source.tensors.get(name)!;
    assertEquals([name, tensor.dtype, tensor.shape], [name, dtype, shape]);
    if (dtype === "I64") {
      await assertRejects(() => source.readRows(name, 0, 1), MoqeError, "F32, F16 or BF16");
      continue;
    }
    const all = new Float32Array(decode(f32).buffer);
    const cols = shape.at(-1) ?? 1, rows = all.length / cols;
    assertEquals([name, await source.readRows(name, 0, rows)], [name, all]);
    for (let r = 0; r < rows; r += 2) {
      const count = Math.min(3, rows - r);
      const part = all.slice(r * cols, (r + count) * cols);
      assertEquals([name, r, await source.readRows(name, r, count)], [name, r, part]);
    }
  }
}

for (const [name, expected] of Object.entries(EXPECTED)) {
  Deno.test(`${name}.bin holds what torch says, on disk and by ranges over HTTP`, async () => {
    const bytes = await Deno.readFile(`${GOLDENS}${name}.bin`);
    using folder = temporaryFolder({ "pytorch_model.bin": bytes });
    const disk = await openTensors(new DiskFolder(folder.path));
    await checkTensors(disk, expected);
    disk.close();
    const server = hostileStore({ "pytorch_model.bin": bytes });
    const http = await openTensors(new HttpFolder(new URL(server.url)));
    await checkTensors(http, expected);
    assert(server.seen.every((s) => s.range !== null));
    await server.close();
  });
}

Deno.test("a file over 4 GiB, whose sizes and places need 64 bits", async () => {
  const { bytes, parts } = JSON.parse(await Deno.readTextFile(`${GOLDENS}zip64.json`));
  using folder = temporaryFolder({});
  const file = await Deno.open(`${folder.path}/pytorch_model.bin`, {
    write: true,
    createNew: true,
  });
  // What is never written takes no place on the disk.
  await file.truncate(bytes);
  for (const [at, base64] of parts) {
    await file.seek(at, Deno.SeekMode.Start);
    await file.write(decode(base64));
  }
  file.close();
  const source = await openTensors(new DiskFolder(folder.path));
  assertEquals(source.tensors.get("large")!.shape, [1025, 2 ** 20]);
  const last = await source.readRows("large", 1024, 1);
  assertEquals([last[0], last.at(-1)], [0, -2.5]);
  assertEquals((await source.readRows("large", 0, 1))[0], 1.5);
  assertEquals(await source.readRows("behind", 0, 2), Float32Array.of(0, 1, 2, 3, 4, 5));
  source.close();
});

Deno.test("a sharded checkpoint of torch packs to the bytes of its safetensors twin", async () => {
  using folder = temporaryFolder({}), fromBin = temporaryFolder({}), fromSafe = temporaryFolder({});
  const names = [...Deno.readDirSync(GOLDENS)].map((e) => e.name).filter((n) =>
    n.startsWith("pytorch_model")
  );
  for (const name of names) await Deno.copyFile(`${GOLDENS}${name}`, `${folder.path}/${name}`);
  const texts = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
  ];
  for (const name of texts) {
    await Deno.copyFile(`${goldenFolder("baseline")}/${name}`, `${folder.path}/${name}`);
  }
  const { checkpoint, plan } = await openGolden("baseline", folder.path);
  const files = new Set([...checkpoint.weights.tensors.values()].map((t) => t.file));
  assertEquals(files.size, 3);
  await packCheckpoint(checkpoint, plan, new FileStore(fromBin.path), TEST_PACK);
  checkpoint.weights.close();
  await packGolden("baseline", new FileStore(fromSafe.path));
  assertEquals(contents(fromBin.path), contents(fromSafe.path));
});

/** Why a file is refused. */
async function refusal(bytes: Uint8Array): Promise<string> {
  using folder = temporaryFolder({ "pytorch_model.bin": bytes });
  const disk = new DiskFolder(folder.path);
  try {
    const error = await assertRejects(() => openTensors(disk), MoqeError);
    assertEquals(error.code, "corrupt");
    assertLess(error.message.length, 1000);
    return error.message;
  } finally {
    disk.close();
  }
}

const HOSTILE: { asks: string; pickle: string }[] = JSON.parse(
  await Deno.readTextFile(`${GOLDENS}hostile.json`),
);
for (const { asks, pickle } of HOSTILE) {
  Deno.test(`a pickle that asks for ${asks} is refused by that name`, async () => {
    const message = await refusal(torchFile(decode(pickle)));
    assertStringIncludes(message, asks);
  });
}

Deno.test("the file that the tests make by hand is read", async () => {
  using folder = temporaryFolder({ "pytorch_model.bin": torchFile(tensorPickle()) });
  const source = await openTensors(new DiskFolder(folder.path));
  assertEquals(await source.readRows("w", 0, 2), Float32Array.of(1, 2, 3, 4));
  source.close();
});

const TENSORS: [what: string, made: MadeTensor, says: string][] = [
  ["a shape beyond its storage", { shape: [3, 2] }, "reaches beyond its storage"],
  ["an offset beyond its storage", { offset: 1 }, "reaches beyond its storage"],
  ["strides beyond its storage", { strides: [4, 1] }, "reaches beyond its storage"],
  ["a product over 2^53", { shape: [2 ** 52, 2 ** 52], strides: [0, 0] }, "more than 2^53 bytes"],
  ["a place over 2^53", { shape: [2 ** 40, 2], strides: [2 ** 40, 1] }, "reaches beyond"],
  ["a dimension of 0", { shape: [0, 2] }, "dimension of 0"],
  ["a negative dimension", { shape: [-1, 2] }, "make sense"],
  ["a negative stride", { strides: [-2, 1] }, "make sense"],
  ["strides of another shape", { strides: [1] }, "make sense"],
  ["nine dimensions", { shape: Array(9).fill(1), strides: Array(9).fill(1) }, "make sense"],
  ["a storage that is not there", { key: "1" }, "is not in the zip"],
  ["a storage named as a path", { key: "../data.pkl" }, "is not in the zip"],
  ["a storage of another length", { elements: 5 }, "16 bytes where 20 are due"],
  ["a storage over 2^53", { elements: 2 ** 52 }, "more than 2^53 bytes"],
  ["a negative storage", { elements: -4 }, "unknown way"],
  ["an unknown type", { type: "FancyStorage" }, "torch.FancyStorage"],
  ["a type of Object.prototype", { type: "constructor" }, "torch.constructor"],
  ["a name of 300 characters", { name: "n".repeat(300) }, "is no name"],
  ["an empty name", { name: "" }, "is no name"],
];
for (const [what, made, says] of TENSORS) {
  Deno.test(`a tensor with ${what} is refused`, async () => {
    assertStringIncludes(await refusal(torchFile(tensorPickle(made))), says);
  });
}

const good = tensorPickle();
const ZIPS: [what: string, file: Uint8Array, says: string][] = [
  ["empty", new Uint8Array(0), "neither a zip nor a pickle"],
  ["no zip", new TextEncoder().encode("<html>"), "neither a zip nor a pickle"],
  ["cut off", torchFile(good).slice(0, -1), "may be cut off"],
  ["without a pickle", zipFile([{ name: "a/b", bytes: good }]), "not one data.pkl"],
  [
    "with two pickles",
    torchFile(good, { more: [{ name: "x/data.pkl", bytes: good }] }),
    "not one data.pkl",
  ],
  ["with a compressed entry", torchFile(good, { data: { method: 8 } }), "is compressed (method 8)"],
  ["with an encrypted entry", torchFile(good, { data: { flags: 1 } }), "is encrypted"],
  [
    "with an entry twice",
    torchFile(good, { more: [{ name: "archive/data/0", bytes: good }] }),
    "is there twice",
  ],
  ["with an entry over the next", torchFile(good, { pickle: { size: 5000 } }), "reaches into"],
  ["with an entry beyond the file", torchFile(good, { data: { header: 1 << 30 } }), "reaches into"],
  ["with entries in one place", torchFile(good, { data: { header: 0 } }), "reaches into"],
  [
    "with 64 bits that are missing",
    torchFile(good, { data: { size: 0xffffffff } }),
    "lacks its ZIP64",
  ],
  ["with another CRC", torchFile(good, { pickle: { crc: 1 } }), "does not have its CRC-32"],
  [
    "with a local header of another name",
    torchFile(good, { pickle: { localName: "archive/date.pkl" } }),
    "does not name it",
  ],
  [
    "of big endian",
    torchFile(good, {
      more: [{ name: "archive/byteorder", bytes: new TextEncoder().encode("big") }],
    }),
    'byte order is "big"',
  ],
  ["with a pickle that ends early", torchFile(good.slice(0, -1)), "ends too early"],
  [
    "with bytes behind its pickle",
    torchFile(new Uint8Array([...good, 0])),
    "more behind its pickle",
  ],
];
for (const [what, file, says] of ZIPS) {
  Deno.test(`a file ${what} is refused`, async () => {
    assertStringIncludes(await refusal(file), says);
  });
}

const op = (...bytes: number[]) => torchFile(new Uint8Array([0x80, 2].concat(bytes, 0x2e)));
const nested = Array(20_000).fill(0x5d).concat(Array(19_999).fill(0x61));
const PICKLES: [what: string, file: Uint8Array, says: string][] = [
  ["a list", op(0x5d), "holds a list, not a state dict"],
  ["a text for a tensor", op(0x7d, 0x8c, 1, 119, 0x8c, 1, 120, 0x73), '"w" is "x", not a tensor'],
  ["a number for a name", op(0x7d, 0x4b, 1, 0x4e, 0x73), "1 is no name"],
  ["an item twice", op(0x7d, 0x8c, 1, 119, 0x4e, 0x73, 0x8c, 1, 119, 0x4e, 0x73), "is there twice"],
  ["nothing", op(), "stack is empty"],
  ["more than one value", op(0x4e, 0x4e), "more than one value"],
  ["a memory of nothing", op(0x68, 7), "never stored"],
  ["a list without a mark", op(0x5d, 0x65), "mark is missing"],
  ["a call of a number", op(0x4b, 1, 0x29, 0x52), "calls what is no function"],
  ["protocol 9", torchFile(new Uint8Array([0x80, 9, 0x2e])), "protocol 9"],
  ["an object's state", op(0x5d, 0x4e, 0x62), "state of an object"],
  ["an instruction for objects", op(0x4e, 0x29, 0x81), "instruction 0x81"],
  ["a text that is no UTF-8", op(0x8c, 1, 0xff), "not UTF-8"],
  ["20,000 lists in lists", op(...nested), "holds a list"],
];
for (const [what, file, says] of PICKLES) {
  Deno.test(`a pickle of ${what} is refused`, async () => {
    assertStringIncludes(await refusal(file), says);
  });
}

Deno.test("a legacy file that is cut off, longer or not torch's is refused", async () => {
  const legacy = await Deno.readFile(`${GOLDENS}legacy.bin`);
  assertStringIncludes(await refusal(legacy.slice(0, -1)), "of a file of");
  assertStringIncludes(await refusal(new Uint8Array([...legacy, 0])), "of a file of");
  assertStringIncludes(await refusal(legacy.slice(0, 200)), "ends too early");
  const magic = legacy.slice();
  magic[5]! ^= 1;
  assertStringIncludes(await refusal(magic), "not one that torch.save wrote");
});

Deno.test("no byte of a file, flipped, gives a tensor of another shape without an error, or a crash", async () => {
  const file = torchFile(good);
  const shapes = new Set<string>();
  for (let i = 0; i < file.length; i++) {
    const flipped = file.slice();
    flipped[i]! ^= 0x55;
    using folder = temporaryFolder({ "pytorch_model.bin": flipped });
    const disk = new DiskFolder(folder.path);
    try {
      const source = await openTensors(disk);
      for (const t of source.tensors.values()) shapes.add(`${t.name} ${t.shape}`);
    } catch (error) {
      assert(error instanceof MoqeError && error.code === "corrupt", `byte ${i}: ${error}`);
    } finally {
      disk.close();
    }
  }
  assertEquals([...shapes], ["w 2,2"]);
});
