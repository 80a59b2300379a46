/** The commands against an S3 server: pack into a bucket, killed and gone on with, then verify, plan and translate. */
import { assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { moqe } from "../cli/moqe.ts";
import { keysOf, makeBucket, putFile, putModel, s3Store } from "../support/buckets.ts";
import { goldenFolder } from "../support/golden.ts";
import { finishPack, killPack } from "../support/killed_pack.ts";
import { contents } from "../support/packed.ts";
import { temporaryFolder } from "../support/safetensors.ts";
import { isThere, testNeeding } from "../support/needs.ts";
import { startSwift, STORAGE_DOMAIN, type SwiftServer } from "../support/swift.ts";
import type { Manifest } from "../../src/store/manifest.ts";
import { forwardProxy, tcpProxy } from "../support/tcp_proxy.ts";

const test = testNeeding("swift");
let swift: SwiftServer | undefined, env: SwiftServer["env"];
Deno.test.beforeAll(async () => {
  if (!isThere("swift")) return;
  swift = await startSwift();
  env = swift.env;
});
Deno.test.afterAll(() => swift?.close());
const SHIPPED = new URL("../../models/tiny-en-de-fr-es", import.meta.url).pathname;

/** Objects of a bucket under a prefix, by name. */
async function objects(bucket: string, prefix: string): Promise<Map<string, Uint8Array>> {
  const store = s3Store(`s3://${bucket}/${prefix}`, env);
  const found = new Map<string, Uint8Array>();
  for (const key of await keysOf(bucket, env)) {
    if (!key.startsWith(`${prefix}/`)) continue;
    const name = key.slice(prefix.length + 1);
    found.set(name, name.startsWith(".") ? new Uint8Array() : await store.readAll(name, 1e7));
  }
  return found;
}

test("pack, verify and plan take s3 addresses; the bucket holds what a folder would", async () => {
  await makeBucket("packed", env);
  using folder = temporaryFolder();
  const pairs = ["--pairs", "en-de", "--licence", "CC0-1.0", "--name", "tiny"];
  const checkpoint = goldenFolder("baseline");
  const local = await moqe(["pack", checkpoint, folder.path, ...pairs]);
  assertEquals(local.code, 0);
  const remote = await moqe(["pack", checkpoint, "s3://packed/models/tiny/", ...pairs], { env });
  assertEquals([remote.code, remote.err], [0, ""]);
  assertEquals(await objects("packed", "models/tiny"), contents(folder.path));

  const verified = await moqe(["verify", "s3://packed/models/tiny"], { env });
  assertEquals(verified.code, 0);
  assertStringIncludes(verified.out, "tiny is whole");
  const plan = await moqe(["plan", "s3://packed/models/tiny"], { env });
  assertStringIncludes(plan.out, "tiny at s3://packed/models/tiny, licence CC0-1.0");

  // The checkpoint, too, may be in a bucket.
  for (const { name } of Deno.readDirSync(checkpoint)) {
    await putFile(
      `s3://packed/checkpoint/${name}`,
      await Deno.readFile(`${checkpoint}/${name}`),
      env,
    );
  }
  using other = temporaryFolder();
  const fromBucket = ["pack", "s3://packed/checkpoint", `${other.path}/m`, ...pairs];
  assertEquals((await moqe(fromBucket, { env })).code, 0);
  assertEquals(contents(`${other.path}/m`), contents(folder.path));

  const again = await moqe(["pack", checkpoint, "s3://packed/models/tiny", ...pairs], { env });
  assertEquals(again.code, 2);
  assertStringIncludes(again.err, "there is a packed model already");
  const nowhere = await moqe(["pack", checkpoint, "s3://no-bucket/m", ...pairs], { env });
  assertEquals(nowhere.code, 1);
  assertStringIncludes(nowhere.err, "NoSuchBucket");
});

test("a bucket with a host name of its own, through the proxy that HTTP_PROXY names", async () => {
  await makeBucket("hosted", env);
  await putModel(SHIPPED, s3Store("s3://hosted/tiny", env));
  const proxy = forwardProxy(swift!.endpoint);
  const address = `s3://hosted/tiny?style=virtual&endpoint=http://${STORAGE_DOMAIN}`;
  const through = { ...env, HTTP_PROXY: proxy.url };
  const verified = await moqe(["verify", address], { env: through });
  assertEquals([verified.code, verified.err], [0, ""]);
  assertEquals([...proxy.hosts], [`hosted.${STORAGE_DOMAIN}`]);
  const wrong = await moqe(["verify", address], {
    env: { ...through, AWS_SECRET_ACCESS_KEY: "x" },
  });
  assertStringIncludes(wrong.err, "SignatureDoesNotMatch");
  await proxy.close();
});

test("kill -9 at random moments of a pack into a bucket, then again: the same objects, none sent twice", async () => {
  await makeBucket("killed", env);
  using folder = temporaryFolder();
  await finishPack(folder.path);
  const proxy = tcpProxy(swift!.endpoint);
  const through = { ...env, AWS_ENDPOINT_URL: proxy.url };
  let kills = 0;
  for (let i = 0; i < 4; i++) {
    // A moment of the pack, not of the clock: a quick machine would come to its end before.
    const due = proxy.requests.length + 1 + Math.floor(Math.random() * 6);
    const moment = async () => {
      while (proxy.requests.length < due) await new Promise((resolve) => setTimeout(resolve, 1));
    };
    if (await killPack("s3://killed/m", moment, through)) kills++;
  }
  assertGreater(kills, 0, "no kill came in time");
  proxy.requests.length = 0;
  const said = await finishPack("s3://killed/m", through);
  assertMatch(said, /resumed \d+/);
  assertEquals(await objects("killed", "m"), contents(folder.path));
  const sent = proxy.requests.filter((r) => /^PUT .*\.moqe$/.test(r));
  assertEquals(new Set(sent).size, sent.length);
  assertEquals(
    proxy.requests.filter((r) => r.startsWith("PUT")).at(-1),
    "PUT /killed/m/manifest.json",
  );
  await proxy.close();
});

test("a model in a bucket translates as the same one on disk, and its trunk takes few requests", async () => {
  await makeBucket("shipped", env);
  await putModel(SHIPPED, s3Store("s3://shipped/tiny", env));
  const proxy = tcpProxy(swift!.endpoint);
  const args = ["translate", "--from", "en", "--to", "de", "--beams", "1", "--model"];
  const input = "The file could not be opened.\nSave changes before closing?\n";
  const local = await moqe([...args, SHIPPED], { input });
  const remote = await moqe([...args, "s3://shipped/tiny"], {
    input,
    env: { ...env, AWS_ENDPOINT_URL: proxy.url },
  });
  assertEquals([remote.code, remote.out], [0, local.out]);
  const { trunk, objects }: Manifest = JSON.parse(
    await Deno.readTextFile(`${SHIPPED}/manifest.json`),
  );
  const blocks = trunk.flatMap((t) => t.blocks);
  const names = [...new Set(blocks.map((b) => objects[b.object]!.name))];
  const { length } = proxy.requests.filter((r) =>
    r.startsWith("GET") && names.some((name) => r.includes(name))
  );
  assertGreater(blocks.length, 100);
  assertGreater(length, 0);
  assertGreater(10, length);
  await proxy.close();
});
