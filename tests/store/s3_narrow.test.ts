/** A bucket's user who may write and no more, and servers that cannot list: uploads do without. */
import { assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { testObject } from "../support/blocks.ts";
import { pieces, s3Store } from "../support/buckets.ts";

const large = testObject(20, 2 ** 20), small = testObject(2, 1000);

/** An S3 server that takes objects and parts, and answers 403 or 501 to everything else. */
function writeOnly(status: number) {
  const stored: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { search } = new URL(request.url);
      const body = await request.text();
      const put = request.method === "PUT", post = request.method === "POST";
      if (!put && !post) return new Response(null, { status });
      stored.push(`${request.method} ${search.replace(/=[^&]*id.*/, "")}`);
      if (put) return new Response(null, { headers: { etag: '"tag"' } });
      const id = "<R><UploadId>id&amp;1</UploadId></R>";
      const done = `<R><ETag>&quot;whole-${body.match(/<Part>/g)?.length}&quot;</ETag></R>`;
      return new Response(search.includes("uploads") ? id : done);
    },
  );
  const { port } = server.addr as Deno.NetAddr;
  const env = {
    AWS_ACCESS_KEY_ID: "A",
    AWS_SECRET_ACCESS_KEY: "S",
    AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
  };
  return { store: s3Store("s3://b/m", env), stored, close: () => server.shutdown() };
}

for (const status of [403, 501]) {
  Deno.test(`objects are written where all but writing is answered ${status}`, async () => {
    const { store, stored, close } = writeOnly(status);
    if (status === 403) {
      assertEquals(await store.write(small.name, pieces(small.bytes)), "tag");
      assertEquals(await store.write(large.name, pieces(large.bytes)), "whole-3");
      assertEquals(stored.filter((s) => s.startsWith("PUT")).length, 4);
      assertEquals(await store.readNote(".moqe-pack.jsonl"), "");
    } else {
      // What a HEAD means that is answered like this, nobody knows.
      const error = await assertRejects(
        () => store.write(small.name, pieces(small.bytes)),
        MoqeError,
      );
      assertEquals(error.code, "unavailable");
    }
    await close();
  });
}

Deno.test("a completion that fails under 200 is an error", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      await request.body?.cancel();
      if (request.method === "PUT") return new Response(null, { headers: { etag: '"t"' } });
      if (request.method !== "POST") return new Response(null, { status: 404 });
      return new Response(
        request.url.includes("uploads")
          ? "<R><UploadId>1</UploadId></R>"
          : "<Error><Code>InvalidPart</Code></Error>",
      );
    },
  );
  const env = { AWS_ENDPOINT_URL: `http://127.0.0.1:${(server.addr as Deno.NetAddr).port}` };
  const error = await assertRejects(
    () => s3Store("s3://b/m", env).write(large.name, pieces(large.bytes)),
    MoqeError,
    "put its parts together: InvalidPart",
  );
  assertEquals(error.code, "unavailable");
  await server.shutdown();
});
