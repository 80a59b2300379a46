/** Buckets of an S3 server for tests: made, filled with a model, listed. */
import { s3Place } from "../../src/store/s3_address.ts";
import { S3Store } from "../../src/store/s3_store.ts";
import { elements } from "../../src/store/s3_xml.ts";
import type { AwsSources } from "../../src/store/aws_config.ts";
import { MANIFEST_NAME } from "../../src/store/manifest.ts";

/** Settings from a table in place of the process's environment and files. */
export function sourcesOf(
  env: Record<string, string>,
  files: Record<string, string> = {},
): AwsSources {
  return { env: (name) => env[name], readFile: (path) => files[path] };
}

/** Bytes that can be iterated again and again, as stores want them. */
export function pieces(...bytes: Uint8Array[]): AsyncIterable<Uint8Array> {
  return {
    async *[Symbol.asyncIterator]() {
      yield* bytes;
    },
  };
}

/** A store at an address under an environment. */
export function s3Store(address: string, env: Record<string, string>): S3Store {
  return new S3Store(s3Place(address, sourcesOf(env)), { retryMs: 5, maxRetryMs: 50 });
}

async function signed(
  url: URL,
  method: string,
  env: Record<string, string>,
  body: Uint8Array<ArrayBuffer> | null = null,
): Promise<string> {
  const { http } = s3Place("s3://any", sourcesOf(env));
  for (let attempt = 1;; attempt++) {
    const headers = await http.sign!({ method, url, headers: new Headers() });
    const response = await fetch(url, { method, headers, body });
    const text = await response.text();
    if (response.ok) return text;
    // A server that has only just begun may be slower than it likes itself.
    if (response.status !== 503 || attempt === 20) {
      throw new Error(`${method} ${url}: ${response.status} ${text}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** Makes a bucket. */
export async function makeBucket(bucket: string, env: Record<string, string>): Promise<void> {
  await signed(s3Place(`s3://${bucket}`, sourcesOf(env)).bucket, "PUT", env);
}

/** Puts any file into a bucket, at s3://bucket/key. */
export async function putFile(
  address: string,
  bytes: Uint8Array<ArrayBuffer>,
  env: Record<string, string>,
): Promise<void> {
  await signed(s3Place(address, sourcesOf(env)).base, "PUT", env, bytes);
}

/** Keys of all objects of a bucket, in order. */
export async function keysOf(bucket: string, env: Record<string, string>): Promise<string[]> {
  return elements(
    await signed(s3Place(`s3://${bucket}`, sourcesOf(env)).bucket, "GET", env),
    "Key",
  );
}

/** Puts a packed model of the disk into a store, the manifest last. */
export async function putModel(folder: string, store: S3Store): Promise<void> {
  const names = [...Deno.readDirSync(folder)].map((e) => e.name)
    .filter((n) => /^[0-9a-f]{64}\./.test(n)).sort();
  for (const name of [...names, MANIFEST_NAME]) {
    await store.write(name, pieces(await Deno.readFile(`${folder}/${name}`)));
  }
}
