/** An upload in parts of which one fails. */
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
