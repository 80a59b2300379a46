/** Uploads in parts: one that fails, and servers whose ETags are no MD5. */
import { assertEquals, assertRejects } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { type Part, partsOf, uploadParts } from "../../src/store/s3_upload.ts";

const MIB = 2 ** 20;

Deno.test("a part that fails while the next is read ends the upload with its own reason", async () => {
  const bytes = {
    async *[Symbol.asyncIterator]() {
      for (let i = 0; i < 40; i++) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        yield new Uint8Array(MIB).fill(i);
      }
    },
  };
  const digests: Omit<Part, "bytes">[] = [];
  for await (const { bytes: _, ...digest } of partsOf(bytes)) digests.push(digest);
  const sent: string[] = [];
  const call = ({ method }: { method: string }, query: string) => {
    const headers = new Headers();
    if (method === "GET") return Promise.resolve({ headers, text: "" });
    if (query === "uploads=") {
      return Promise.resolve({ headers, text: "<UploadId>u</UploadId>" });
    }
    sent.push(query.split("&")[0]!);
    return query.includes("partNumber=2&")
      ? Promise.reject(
        new MoqeError("unavailable", { action: "write", rule: "the server refuses access" }),
      )
      : Promise.resolve({ headers, text: "" });
  };
  const error = await assertRejects(
    () => uploadParts({ key: "k", digests, bytes, call: call as never }),
    MoqeError,
    "refuses access",
  );
  assertEquals(error.code, "unavailable");
  assertEquals(sent, ["partNumber=1", "partNumber=2", "partNumber=3"], "and nothing after it");
});

Deno.test("parts are put together by the ETags that the server gave them, those found there too", async () => {
  const content = new Uint8Array(20 * MIB).map((_, i) => i >> 12);
  const bytes = {
    async *[Symbol.asyncIterator]() {
      await Promise.resolve();
      yield content;
    },
  };
  const digests: Omit<Part, "bytes">[] = [];
  for await (const { bytes: _, ...digest } of partsOf(bytes)) digests.push(digest);
  const [first] = digests, puts: string[] = [];
  let body = "";
  const call = (request: { method: string; body?: Uint8Array }, query: string) => {
    const part = /partNumber=(\d)/.exec(query)?.[1];
    if (part !== undefined) puts.push(part);
    const text = request.method === "GET"
      ? query.startsWith("uploads=")
        ? "<Upload><Key>k</Key><UploadId>u</UploadId></Upload>"
        : `<Part><PartNumber>1</PartNumber><ETag>"${first!.md5}"</ETag><Size>${
          first!.length
        }</Size></Part>`
      : "<R><ETag>&quot;whole&quot;</ETag></R>";
    if (request.method === "POST") body = new TextDecoder().decode(request.body);
    const headers = new Headers(part === undefined ? {} : { etag: `"sealed-${part}"` });
    return Promise.resolve({ headers, text });
  };
  assertEquals(await uploadParts({ key: "k", digests, bytes, call: call as never }), "whole");
  assertEquals(puts, ["2", "3"]);
  const etags = [...body.matchAll(/&quot;(.*?)&quot;/g)].map((m) => m[1]);
  assertEquals(etags, [first!.md5, "sealed-2", "sealed-3"]);
});
