/** S3 against OpenStack Swift, which checks signatures and hashes: reading, writing, going on, and refusing. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { s3Place } from "../../src/store/s3_address.ts";
import { testObject } from "../support/blocks.ts";
import { keysOf, makeBucket, pieces, s3Store, sourcesOf } from "../support/buckets.ts";
import { isThere, testNeeding } from "../support/needs.ts";
import { startSwift, type SwiftServer } from "../support/swift.ts";
import { tcpProxy } from "../support/tcp_proxy.ts";

const test = testNeeding("swift");
let swift: SwiftServer | undefined, env: SwiftServer["env"];
Deno.test.beforeAll(async () => {
  if (!isThere("swift")) return;
  swift = await startSwift();
  env = swift.env;
  await makeBucket("objects", env);
});
Deno.test.afterAll(() => swift?.close());

/** Three parts of 8, 8 and 4 MB. */
const large = testObject(20, 2 ** 20);
const small = testObject(3, 1000);

test("objects of one part and of several come back by ranges, under a prefix of any characters", async () => {
  const store = s3Store("s3://objects/a b/c+d/ü", env);
  for (const object of [small, large]) {
    const { name, bytes } = object;
    assertEquals(await store.has(name), false);
    const receipt = await store.write(name, pieces(bytes.subarray(0, 999), bytes.subarray(999)));
    assertMatch(receipt, object === large ? /^[0-9a-f]{32}-3$/ : /^[0-9a-f]{32}$/);
    assert(await store.holds(name, bytes.length, receipt));
    assertEquals(await store.holds(name, bytes.length - 1, receipt), false);
    assertEquals(await store.holds(name, bytes.length, ""), false);
    const range = { offset: 1500, length: bytes.length - 1700 };
    assertEquals(await store.readRange(name, range), bytes.slice(1500, -200));
    const parts = [1, 2].map((i) => ({ offset: i * 700, into: new Uint8Array(100) }));
    await store.readParts(name, parts);
    for (const { offset, into } of parts) assertEquals(into, bytes.slice(offset, offset + 100));
  }
  assertEquals(await store.readAll(small.name, 3000), small.bytes);
  await assertRejects(() => store.readAll(small.name, 2999), MoqeError, "2999 are allowed");
  assertEquals(
    (await keysOf("objects", env)).sort(),
    [`a b/c+d/ü/${small.name}`, `a b/c+d/ü/${large.name}`].sort(),
  );
});

test("a wrong secret, an unsigned request and a missing bucket are refused by name; no secret is said", async () => {
  const cases: [Record<string, string>, string, RegExp][] = [
    [
      { ...env, AWS_SECRET_ACCESS_KEY: "hunter2" },
      "objects",
      /403: SignatureDoesNotMatch.*AWS_SECRET_ACCESS_KEY/,
    ],
    [{ AWS_ENDPOINT_URL: swift!.endpoint }, "objects", /without credentials/],
    [env, "no-such-bucket", /no such bucket.*NoSuchBucket.*make the bucket first/],
  ];
  for (const [environment, bucket, says] of cases) {
    const store = s3Store(`s3://${bucket}/m`, environment);
    const error = await assertRejects(
      () => store.readRange(small.name, { offset: 0, length: 9 }),
      MoqeError,
    );
    assertEquals(error.code, "unavailable");
    assertMatch(error.message, says);
    assertStringIncludes(error.message, `s3://${bucket}/m/${small.name}`);
    assert(
      !/hunter2|not-so-secret|Signature=/.test(error.message + error.stack + Deno.inspect(error)),
    );
  }
});

test("the server itself refuses bytes that are not those that were signed", async () => {
  const { base, http } = s3Place("s3://objects/x", sourcesOf(env));
  const headers = await http.sign!({
    method: "PUT",
    url: base,
    headers: new Headers({ "x-amz-content-sha256": "0".repeat(64) }),
  });
  const response = await fetch(base, { method: "PUT", headers, body: "other bytes" });
  assertEquals(response.status, 400);
  assertStringIncludes(await response.text(), "ContentSHA256Mismatch");
});

test("what is there is not sent again, what was cut off goes on with the missing parts", async () => {
  await makeBucket("resumed", env);
  const proxy = tcpProxy(swift!.endpoint);
  const store = s3Store("s3://resumed/m", { ...env, AWS_ENDPOINT_URL: proxy.url });
  const puts = () => proxy.requests.splice(0).filter((r) => r.startsWith("PUT"));
  // Begin an upload and send one of its parts, as a killed run would have left it.
  const place = s3Place(`s3://resumed/m/${large.name}`, sourcesOf(env));
  const send = async (
    method: string,
    query: string,
    body: Uint8Array<ArrayBuffer> | null = null,
  ) => {
    const url = new URL(`${place.base}?${query}`);
    const headers = await place.http.sign!({ method, url, headers: new Headers() });
    return await (await fetch(url, { method, headers, body })).text();
  };
  const id = /<UploadId>(.*?)</.exec(await send("POST", "uploads="))![1]!;
  await send("PUT", `partNumber=2&uploadId=${id}`, large.bytes.slice(8 * 2 ** 20, 16 * 2 ** 20));
  await send("PUT", `partNumber=1&uploadId=${id}`, new Uint8Array(5 * 2 ** 20));
  await store.write(large.name, pieces(large.bytes));
  assertEquals(puts().map((r) => /partNumber=(\d)/.exec(r)?.[1]).sort(), ["1", "3"]);
  assertEquals(
    await store.readRange(large.name, { offset: 0, length: large.bytes.length }),
    large.bytes,
  );
  proxy.requests.length = 0;
  await store.write(large.name, pieces(large.bytes));
  await store.write(small.name, pieces(small.bytes));
  assertEquals(puts().length, 1, "only the small one was not there");
  // Another object under that name, of the same length: it is written again.
  const other = small.bytes.slice();
  other[5]! ^= 1;
  await store.write(small.name, pieces(other));
  await store.write(small.name, pieces(small.bytes));
  assertEquals(puts().length, 2);
  assertEquals(await store.readAll(small.name, 3000), small.bytes);
  await proxy.close();
});

test("connections cut at any byte of an upload or a read are made again", async () => {
  await makeBucket("cut", env);
  const proxy = tcpProxy(swift!.endpoint);
  const store = s3Store("s3://cut/m", { ...env, AWS_ENDPOINT_URL: proxy.url });
  for (const cut of [1, 700, 3 * 2 ** 20]) {
    proxy.cutUpAfter = cut;
    await store.write(large.name, pieces(large.bytes));
    proxy.cutDownAfter = cut;
    const length = large.bytes.length - cut;
    assertEquals(
      await store.readRange(large.name, { offset: cut, length }),
      large.bytes.slice(cut),
    );
  }
  const { reset, truncated } = store.retries();
  assert(reset + truncated >= 1, "no cut hit a request");
  await proxy.close();
});

test("notes are replaced and removed; none is no error", async () => {
  const store = s3Store("s3://objects/notes", env);
  assertEquals(await store.readNote(".moqe-pack.jsonl"), "");
  await store.writeNote(".moqe-pack.jsonl", "one\n");
  await store.writeNote(".moqe-pack.jsonl", "one\ntwo\n");
  assertEquals(await store.readNote(".moqe-pack.jsonl"), "one\ntwo\n");
  await store.removeNote(".moqe-pack.jsonl");
  await store.removeNote(".moqe-pack.jsonl");
  assertEquals(await store.readNote(".moqe-pack.jsonl"), "");
});
