/** Hostile safetensors headers: each refused with a reason, none believed. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { DiskFolder } from "../../src/checkpoint/disk_folder.ts";
import { openTensors } from "../../src/checkpoint/tensor_source.ts";
import { rawSafetensors, temporaryFolder } from "../support/safetensors.ts";

/** Counts what is read of a folder's files. */
class CountingFolder extends DiskFolder {
  reads = 0;

  override read(...args: Parameters<DiskFolder["read"]>): Promise<void> {
    this.reads++;
    return super.read(...args);
  }
}

async function refusal(file: Uint8Array): Promise<string> {
  using folder = temporaryFolder({ "model.safetensors": file });
  const disk = new DiskFolder(folder.path);
  try {
    const error = await assertRejects(() => openTensors(disk), MoqeError);
    assertEquals(error.code, "corrupt");
    return error.message;
  } finally {
    disk.close();
  }
}

const entry = (dtype: string, shape: string, from: number, to: number) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${from},${to}]}`;
const data = (bytes: number) => new Uint8Array(bytes);

const HOSTILE: [what: string, file: Uint8Array, reason: string][] = [
  ["an empty file", data(0), "8 bytes of header length"],
  ["a header longer than the file", rawSafetensors("{}", data(0), 100n), "beyond the file"],
  ["a header length of 2^63", rawSafetensors("{}", data(0), 2n ** 63n), "beyond the file"],
  ["a header over the cap", rawSafetensors(" ".repeat(17 * 2 ** 20)), "16.0 MiB at most"],
  ["no JSON", rawSafetensors("<html>"), "{ is missing"],
  ["a list", rawSafetensors("[]"), "{ is missing"],
  ["text behind the header", rawSafetensors('{}{"a":1}'), "text after the header"],
  ["a header that ends early", rawSafetensors('{"a":{"dtype":"F32"'), "} is missing"],
  [
    "bytes that are no UTF-8",
    (() => {
      const f = rawSafetensors('{"a":1}');
      f[10] = 0xff;
      return f;
    })(),
    "not UTF-8",
  ],
  [
    "a product over 2^53",
    rawSafetensors(`{"a":${entry("F32", "[4294967296,4294967296]", 0, 4)}}`, data(4)),
    "more than 2^53 bytes",
  ],
  [
    "a product that wraps to its true size",
    rawSafetensors(`{"a":${entry("F32", "[4294967296,4294967296,1]", 0, 0)}}`),
    "more than 2^53 bytes",
  ],
  [
    "a dimension over 2^53",
    rawSafetensors(`{"a":${entry("F32", "[99999999999999999999]", 0, 4)}}`, data(4)),
    "not whole below 2^53",
  ],
  ["a zero dimension", rawSafetensors(`{"a":${entry("F32", "[0,4]", 0, 0)}}`), "dimension of 0"],
  ["a negative dimension", rawSafetensors(`{"a":${entry("F32", "[-1]", 0, 4)}}`), "negative"],
  ["a fraction", rawSafetensors(`{"a":${entry("F32", "[1.5]", 0, 4)}}`), "] is missing"],
  [
    "a negative offset",
    rawSafetensors(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`),
    "negative",
  ],
  [
    "offsets that disagree with the shape",
    rawSafetensors(`{"a":${entry("F32", "[2]", 0, 4)}}`, data(4)),
    "has 8 bytes, but its offsets span 4",
  ],
  [
    "offsets backwards",
    rawSafetensors(`{"a":${entry("F32", "[1]", 4, 0)}}`, data(4)),
    "span -4",
  ],
  [
    "overlapping tensors",
    rawSafetensors(
      `{"a":${entry("F32", "[2]", 0, 8)},"b":${entry("F32", "[2]", 4, 12)}}`,
      data(12),
    ),
    "overlaps",
  ],
  [
    "a gap",
    rawSafetensors(
      `{"a":${entry("F32", "[1]", 0, 4)},"b":${entry("F32", "[1]", 8, 12)}}`,
      data(12),
    ),
    "leaves a gap",
  ],
  [
    "a file longer than its tensors",
    rawSafetensors(`{"a":${entry("F32", "[1]", 0, 4)}}`, data(5)),
    "of a file of",
  ],
  [
    "a truncated file",
    rawSafetensors(`{"a":${entry("F32", "[2]", 0, 8)}}`, data(7)),
    "of a file of",
  ],
  [
    "an unknown dtype",
    rawSafetensors(`{"a":${entry("F33", "[1]", 0, 4)}}`, data(4)),
    'unknown dtype "F33"',
  ],
  [
    "a dtype of Object.prototype",
    rawSafetensors(`{"a":${entry("constructor", "[1]", 0, 4)}}`, data(4)),
    "unknown dtype",
  ],
  [
    "a duplicate key",
    rawSafetensors(`{"a":${entry("F32", "[1]", 0, 4)},"a":${entry("F32", "[1]", 0, 4)}}`, data(4)),
    '"a" is listed twice',
  ],
  [
    "a duplicate key in disguise",
    rawSafetensors(
      `{"a":${entry("F32", "[1]", 0, 4)},"\\u0061":${entry("F32", "[1]", 0, 4)}}`,
      data(4),
    ),
    '"a" is listed twice',
  ],
  [
    "one tensor with and without model.",
    rawSafetensors(
      `{"a":${entry("F32", "[1]", 0, 4)},"model.a":${entry("F32", "[1]", 4, 8)}}`,
      data(8),
    ),
    "stored once",
  ],
  [
    "a repeated field",
    rawSafetensors(`{"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}}`, data(4)),
    "repeated field",
  ],
  ["nesting", rawSafetensors(`{"a":${"[".repeat(100_000)}}`), "{ is missing"],
  [
    "many dimensions",
    rawSafetensors(`{"a":${entry("F32", `[${"1,".repeat(99)}1]`, 0, 4)}}`, data(4)),
    "more than 8 numbers",
  ],
  [
    "a name of 300 characters",
    rawSafetensors(`{"${"n".repeat(300)}":${entry("F32", "[1]", 0, 4)}}`, data(4)),
    "is no name",
  ],
];

for (const [what, file, reason] of HOSTILE) {
  Deno.test(`${what} is refused`, async () => {
    const message = await refusal(file);
    assertStringIncludes(message, reason);
    assert(message.length < 1000, "a hostile file does not fill the terminal");
  });
}

Deno.test("100,000 tiny tensors take two reads of their file, 200,001 are refused", async () => {
  const tiny = (count: number) => {
    const entries = Array.from(
      { length: count },
      (_, i) => `"t${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
    );
    return rawSafetensors(`{${entries.join(",")}}`, data(count));
  };
  using folder = temporaryFolder({ "model.safetensors": tiny(100_000) });
  const disk = new CountingFolder(folder.path);
  const source = await openTensors(disk);
  assertEquals(source.tensors.size, 100_000);
  assertEquals(disk.reads, 2, "the header's length and the header");
  source.close();
  assertStringIncludes(await refusal(tiny(200_001)), "more than 200000 tensors");
});
