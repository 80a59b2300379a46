/** The doors' order: nobody holds a place by a body that does not come, by a wrong key or beyond the rate. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Access } from "../../src/http/access/access.ts";
import { hashKey, parseKeys } from "../../src/http/access/keys.ts";
import { UsageMeter } from "../../src/http/access/meter.ts";
import { Gate } from "../../src/http/gate.ts";
import { post, testApp } from "./double.ts";
import { onSocket, raw } from "./socket.ts";

const SECRET = "secret";
const ok = { q: "Hello", source: "en", target: "de" };

function keyed(requestsPerMinute?: number): Access {
  const scopes = ["translate", "documents"];
  const record = { name: "shop", sha256: hashKey(SECRET), scopes, requestsPerMinute };
  const keys = parseKeys(JSON.stringify({ keys: [record] }), "the test");
  return new Access({ keys, anonymousPerMinute: 0, meter: new UsageMeter() });
}

/** The start of a chunked body whose rest never comes. */
const begun = (path: string, headers = "") =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}` +
  "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";

for (const path of ["/translate", "/translate_file", "/v2/document", "/v2/usage"]) {
  Deno.test(`a chunked body of ${path} that stops is 408 in time, and the place is free`, () => {
    const uploads = new Gate(2);
    return onSocket(
      async ({ url }, _engine, lines, gate) => {
        const start = performance.now();
        const answer = await raw(url, begun(path), 5000);
        assert(performance.now() - start < 20_000, "the connection ends with the answer");
        assertStringIncludes(answer, "HTTP/1.1 408 ");
        assertStringIncludes(answer, "the body did not arrive within 0.3 s");
        assertEquals([gate.inFlight, uploads.inFlight, lines.length], [0, 0, 1]);
      },
      { bodyTimeoutMs: 300 },
      { access: keyed(), uploads },
    );
  });
}

Deno.test("a wrong key outside the body is refused before the body comes, whatever the house holds", () =>
  onSocket(
    async ({ url }, engine) => {
      const wrong = await Promise.all([
        raw(url, begun("/translate", "X-API-Key: wrong\r\n"), 5000),
        raw(url, begun("/v2/document", "Authorization: DeepL-Auth-Key wrong\r\n"), 5000),
        raw(url, begun("/translate_file?api_key=wrong"), 5000),
      ]);
      for (const answer of wrong) {
        assertStringIncludes(answer, "HTTP/1.1 403 ");
        assertStringIncludes(answer, "Invalid API key");
      }
      assertEquals(engine.calls.length, 0);
    },
    {},
    { access: keyed(), maxRequests: 0, uploads: new Gate(0) },
  ));

Deno.test("an Authorization that is no key leaves the one in the body its turn", async () => {
  const { app } = testApp({ access: keyed() });
  const headers = { "Content-Type": "application/json", Authorization: "Basic YTpi" };
  assertEquals((await app.request(post({ ...ok, api_key: SECRET }, { headers }))).status, 200);
  assertEquals((await app.request(post(ok, { headers }))).status, 403);
});

Deno.test("a request counts once against the rate, wherever its key is", async () => {
  const headers = { "Content-Type": "application/json", "X-API-Key": SECRET };
  const requests = [
    () => post(ok, { headers }),
    () => post({ ...ok, api_key: SECRET }, { headers }),
    () => post({ ...ok, api_key: SECRET }),
  ];
  for (const request of requests) {
    const { app } = testApp({ access: keyed(2) });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await app.request(request())).status);
    assertEquals(statuses, [200, 200, 429]);
  }
});

Deno.test("a rate that is used up is told before the body comes", () =>
  onSocket(
    async ({ url }) => {
      const text = JSON.stringify(ok);
      const whole = `POST /translate HTTP/1.1\r\nHost: x\r\nX-API-Key: ${SECRET}\r\n` +
        `Content-Type: application/json\r\nConnection: close\r\n` +
        `Content-Length: ${text.length}\r\n\r\n${text}`;
      assertStringIncludes(await raw(url, whole), "HTTP/1.1 200 ");
      const answer = await raw(url, begun("/translate", `X-API-Key: ${SECRET}\r\n`), 5000);
      assertStringIncludes(answer, "HTTP/1.1 429 ");
    },
    {},
    { access: keyed(1) },
  ));
