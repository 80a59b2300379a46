/** HTTP stores against a server that misbehaves. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { noRetries } from "../../src/store/contract.ts";
import { HttpStore } from "../../src/store/http_store.ts";
import { followable, isPrivateHost, joinUrl } from "../../src/store/http_url.ts";
import { testObject } from "../support/blocks.ts";
import { type Fault, hostileStore } from "../support/hostile_store.ts";

const object = testObject(4, 1000);
const files = { [object.name]: object.bytes };
const RANGE = { offset: 500, length: 1200 };
const EXPECTED = object.bytes.slice(500, 1700);
const QUICK = { retryMs: 1, maxRetryMs: 5, timeoutMs: 300, attempts: 4, leastBytesPerSecond: 4096 };

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((a, b) => a + b, 0);

/** Reads RANGE from a server whose first `times` answers have a fault. */
async function read(fault: Fault, times: number) {
  const server = hostileStore(files, (n) => n < times ? fault : { kind: "none" });
  const store = new HttpStore(new URL(server.url), QUICK);
  try {
    const bytes = await store.readRange(object.name, RANGE);
    return { bytes, requests: server.seen.length, retries: sum(store.retries()) };
  } finally {
    await server.close();
  }
}

const PASSING: Fault[] = [
  { kind: "truncate" },
  { kind: "short" },
  { kind: "reset" },
  { kind: "stall" },
  { kind: "trickle", ms: 20 },
  { kind: "status", status: 503 },
  { kind: "status", status: 429, retryAfter: "0.02" },
  { kind: "status", status: 500 },
  { kind: "slow", ms: 1000 },
];
for (const fault of PASSING) {
  Deno.test(`${JSON.stringify(fault)} twice is retried, then right`, async () => {
    const { bytes, requests, retries } = await read(fault, 2);
    assertEquals(bytes, EXPECTED);
    assert(requests >= 3);
    assertEquals(retries, 2);
  });
}

Deno.test("a server that names the time of the next try is not asked before", async () => {
  // Whole seconds: one to two from now.
  const retryAfter = new Date(Date.now() + 2000).toUTCString();
  const start = performance.now();
  await read({ kind: "status", status: 503, retryAfter }, 1);
  assert(performance.now() - start > 900);
});

Deno.test("retries are counted by why they were made", async () => {
  const why: [Fault, string][] = [
    [{ kind: "status", status: 429, retryAfter: "0" }, "throttled"],
    [{ kind: "status", status: 503, retryAfter: "0" }, "throttled"],
    [{ kind: "status", status: 502 }, "server"],
    [{ kind: "truncate" }, "truncated"],
    [{ kind: "short" }, "truncated"],
    [{ kind: "stall" }, "timeout"],
    [{ kind: "trickle", ms: 20 }, "timeout"],
  ];
  for (const [fault, reason] of why) {
    const server = hostileStore(files, (n) => n === 0 ? fault : { kind: "none" });
    const store = new HttpStore(new URL(server.url), QUICK);
    await store.readRange(object.name, RANGE);
    assertEquals([fault.kind, store.retries()], [fault.kind, { ...noRetries(), [reason]: 1 }]);
    await server.close();
  }
  const nowhere = new HttpStore(new URL("http://127.0.0.1:9"), { ...QUICK, attempts: 2 });
  await assertRejects(() => nowhere.readRange(object.name, RANGE), MoqeError);
  assertEquals(nowhere.retries(), { ...noRetries(), reset: 1 });
});

const LASTING: [Fault, code: string, says: string, requests: number][] = [
  [{ kind: "status", status: 503 }, "unavailable", "503 (4 attempts)", 4],
  [{ kind: "reset" }, "unavailable", "(4 attempts)", 4],
  [{ kind: "stall" }, "unavailable", "no byte came for 300 ms", 4],
  [{ kind: "truncate" }, "unavailable", "", 4],
  [{ kind: "short" }, "corrupt", "600 bytes instead of 1200", 4],
  [{ kind: "ignore_range" }, "corrupt", "ignores ranges", 1],
  [{ kind: "wrong_range" }, "corrupt", "asked for bytes 500-1699", 1],
  [{ kind: "long" }, "corrupt", "1202 bytes instead of 1200", 4],
  [{ kind: "gzip" }, "corrupt", "", 1],
  [{ kind: "status", status: 403 }, "unavailable", "refuses access", 1],
  [{ kind: "status", status: 404 }, "unavailable", "no such object", 1],
  [{ kind: "status", status: 416 }, "corrupt", "416", 1],
  [{ kind: "redirect", to: "file:///etc/passwd" }, "corrupt", "redirect to file:", 1],
  [{ kind: "redirect", to: "/loop" }, "corrupt", "more than 5 redirects", 6],
];
for (const [fault, code, says, requests] of LASTING) {
  Deno.test(`${JSON.stringify(fault)} for ever is refused as ${code}`, async () => {
    const server = hostileStore(files, () => fault);
    const store = new HttpStore(new URL(server.url), QUICK);
    const error = await assertRejects(() => store.readRange(object.name, RANGE), MoqeError);
    await server.close();
    assertEquals([error.code, server.seen.length], [code, requests]);
    assertStringIncludes(error.message, says);
    assertStringIncludes(error.message, object.name);
  });
}

Deno.test("a server without ranges serves an object that is wanted whole", async () => {
  const server = hostileStore(files, () => ({ kind: "ignore_range" }));
  const store = new HttpStore(new URL(server.url), QUICK);
  const whole = { offset: 0, length: object.bytes.length };
  assertEquals(await store.readRange(object.name, whole), object.bytes);
  await server.close();
});

Deno.test("a small object is read whole, one over the limit refused before its bytes", async () => {
  const server = hostileStore(files);
  const store = new HttpStore(new URL(server.url), QUICK);
  assertEquals(await store.readAll(object.name, 4000), object.bytes);
  await assertRejects(() => store.readAll(object.name, 3999), MoqeError, "3999 are allowed");
  await server.close();
});

Deno.test("names that are no content names never reach the server", async () => {
  const server = hostileStore(files);
  const store = new HttpStore(new URL(server.url), QUICK);
  for (const name of ["../x", "/etc/passwd", "http://evil/x", `${object.name}/..`, ""]) {
    await assertRejects(() => store.readRange(name, RANGE), MoqeError, "named by their sha256");
  }
  await assertRejects(() => store.readRange(object.name, { offset: -1, length: 2 }), MoqeError);
  await assertRejects(() => store.readRange(object.name, { offset: 0, length: 0 }), MoqeError);
  assertEquals(server.seen.length, 0);
  await server.close();
});

Deno.test("an abort ends a read at once, also between retries", async () => {
  for (const fault of [{ kind: "stall" }, { kind: "status", status: 503 }] as Fault[]) {
    const abort = new AbortController();
    // Once the request is there, and once its answer has been followed by the pause before the next.
    const server = hostileStore(files, () => {
      setTimeout(() => abort.abort(), 20);
      return fault;
    });
    // Pauses and silences that would outlast any test run.
    const slow = { retryMs: 2 ** 30, maxRetryMs: 2 ** 30, timeoutMs: 2 ** 30 };
    const store = new HttpStore(new URL(server.url), slow);
    const options = { signal: abort.signal };
    const error = await assertRejects(
      () => store.readRange(object.name, RANGE, options),
      MoqeError,
    );
    assertEquals([error.code, server.seen.length], ["cancelled", 1]);
    await server.close();
  }
});

Deno.test("credentials and queries stay out of messages and off other origins", async () => {
  const other = hostileStore(files);
  const server = hostileStore(files, () => ({ kind: "redirect", to: other.url + object.name }));
  const address = new URL(`${server.url}?sig=hidden`);
  address.username = "me";
  address.password = "secret";
  const store = new HttpStore(address, QUICK);
  assertEquals(await store.readRange(object.name, RANGE), EXPECTED);
  assertMatch(server.seen[0]!.authorization ?? "", /^Basic /);
  assertEquals(other.seen[0]!.authorization, null);
  assert(!/secret|hidden|me@/.test(store.origin));
  await server.close();
  await other.close();
});

Deno.test("redirects lead to CDNs, not to plain http or into a private network", () => {
  const from = new URL("https://models.example/m/x");
  assert(followable(from, "https://cdn.example/y") instanceof URL);
  assert(followable(from, "../y") instanceof URL);
  for (
    const to of [
      "http://models.example/y",
      "https://127.0.0.1/y",
      "https://[::1]/y",
      "https://localhost/y",
      "https://169.254.169.254/latest",
      "https://10.0.0.1/",
      "ftp://x/y",
      "https://",
    ]
  ) assertEquals(typeof followable(from, to), "string", to);
  assert(!isPrivateHost("11.0.0.1") && isPrivateHost("172.31.0.1") && !isPrivateHost("172.32.0.1"));
});

Deno.test("names are joined behind the path and before the query", () => {
  const join = (base: string) => joinUrl(new URL(base), "a b").href;
  assertEquals(join("https://h/m"), "https://h/m/a%20b");
  assertEquals(join("https://h/m/?sig=1"), "https://h/m/a%20b?sig=1");
});
