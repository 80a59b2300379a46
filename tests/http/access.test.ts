import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { Access } from "../../src/http/access/access.ts";
import { networkOf, TrustedProxies } from "../../src/http/access/address.ts";
import { hashKey, newKey, parseKeys, type Scope } from "../../src/http/access/keys.ts";
import { UsageMeter } from "../../src/http/access/meter.ts";
import { RateLimiter } from "../../src/http/access/rate.ts";
import { createAdminApp, createApp } from "../../src/http/app.ts";
import { HttpMetrics } from "../../src/http/metrics.ts";
import { StateFolder } from "../../src/http/state.ts";
import { moqe } from "../cli/moqe.ts";
import { EngineDouble, post, testApp } from "./double.ts";

const ok = { q: "Hello", source: "en", target: "de" };
const SECRET = "a-key-that-is-never-logged";

function keyed(more: Record<string, unknown> = {}, scopes: Scope[] = ["translate"]) {
  const record = { name: "shop", sha256: hashKey(SECRET), scopes, ...more };
  const keys = parseKeys(JSON.stringify({ keys: [record] }), "the test");
  return new Access({ keys, anonymousPerMinute: 0, meter: new UsageMeter() });
}

const carried: [string, RequestInit & { path?: string; body: string }][] = [
  ["DeepL's header", {
    headers: { Authorization: `DeepL-Auth-Key ${SECRET}` },
    body: JSON.stringify(ok),
  }],
  ["a bearer token", { headers: { Authorization: `Bearer ${SECRET}` }, body: JSON.stringify(ok) }],
  ["X-API-Key", { headers: { "X-API-Key": SECRET }, body: JSON.stringify(ok) }],
  ["LibreTranslate's field", { body: JSON.stringify({ ...ok, api_key: SECRET }) }],
  ["the npm package's field", { body: JSON.stringify({ ...ok, apiKey: SECRET }) }],
  ["the query", { path: `/translate?api_key=${SECRET}`, body: JSON.stringify(ok) }],
];
for (const [what, { path = "/translate", headers, body }] of carried) {
  Deno.test(`a key is taken from ${what}, and no log line ever holds it`, async () => {
    const { app, lines } = testApp({ access: keyed() });
    const init = { method: "POST", body };
    const type = { "Content-Type": "application/json" };
    const response = await app.request(path, { ...init, headers: { ...type, ...headers } });
    assertEquals(response.status, 200);
    assertEquals(JSON.parse(lines.at(-1)!).client, "shop");
    assertEquals(lines.join("").includes(SECRET), false);
  });
}

Deno.test("without a key, with a wrong one and with one for something else it is 403", async () => {
  const { app, engine } = testApp({ access: keyed({}, ["admin"]) });
  const texts = ["Please contact the server operator to get an API key", "Invalid API key"];
  for (const [i, key] of ["", "wrong"].entries()) {
    const refused = await app.request(post({ ...ok, api_key: key }));
    assertEquals([refused.status, await refused.json()], [403, { error: texts[i] }]);
  }
  const other = await app.request(post({ ...ok, api_key: SECRET }));
  assertEquals([other.status, (await other.json()).error], [
    403,
    "This API key is not for translate",
  ]);
  assertEquals(engine.calls.length, 0);
  assertEquals((await app.request("/languages")).status, 200, "open, as in LibreTranslate");
  assertEquals((await app.request("/health")).status, 200);
});

Deno.test("requests beyond the rate are 429 with Retry-After, and are let in again later", async () => {
  let now = 0;
  const limiter = new RateLimiter(() => now);
  const access = new Access({
    keys: [],
    anonymousPerMinute: 2,
    meter: new UsageMeter(),
    limiter,
  });
  const { app } = testApp({ access, proxies: new TrustedProxies(["10.0.0.0/8"]) });
  const ask = (client: string) =>
    app.request(
      post(ok, {
        headers: { "Content-Type": "application/json", "X-Forwarded-For": client },
      }),
      undefined,
      { peer: "10.0.0.1" },
    );
  assertEquals((await ask("1.1.1.1")).status, 200);
  assertEquals((await ask("1.1.1.1")).status, 200);
  const refused = await ask("1.1.1.1");
  assertEquals([refused.status, refused.headers.get("Retry-After")], [429, "30"]);
  assertEquals(await refused.json(), { error: "Slowdown: 2 per 1 minute" });
  assertEquals((await ask("2.2.2.2")).status, 200, "another address has its own rate");
  now += 30_000;
  assertEquals((await ask("1.1.1.1")).status, 200);
});

Deno.test("an IPv6 client is counted by its first 64 bits, one that is IPv4 inside by its IPv4 address", async () => {
  const names: [string, string][] = [
    ["9.9.9.9", "9.9.9.9"],
    ["::ffff:9.9.9.9", "9.9.9.9"],
    ["::FFFF:909:90a", "9.9.9.10"],
    ["0:0:0:0:0:ffff:9.9.9.9", "9.9.9.9"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
    ["2001:db8::7", "2001:db8:0:0::/64"],
    ["2001:db8:0:0:1::", "2001:db8:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["unknown", "unknown"],
  ];
  for (const [address, name] of names) assertEquals(networkOf(address), name, address);
  const access = new Access({ keys: [], anonymousPerMinute: 1, meter: new UsageMeter() });
  const { app } = testApp({ access });
  const ask = async (peer: string) => (await app.request(post(ok), undefined, { peer })).status;
  assertEquals(await ask("2001:db8:1:2::1"), 200);
  assertEquals(await ask("2001:db8:1:2:3::4"), 429, "another address of the same client");
  assertEquals(await ask("2001:db8:1:3::1"), 200);
  assertEquals([await ask("::ffff:9.9.9.9"), await ask("::ffff:9.9.9.8")], [200, 200]);
  assertEquals(await ask("9.9.9.9"), 429);
});

Deno.test("the number of buckets is bounded", () => {
  const limiter = new RateLimiter(() => 0);
  for (let i = 0; i < 10_050; i++) limiter.take(`address ${i}`, 1);
  assertEquals(limiter.size, 10_000);
  assert(limiter.take("address 10049", 1) > 0, "the newest are kept");
});

Deno.test("a used-up quota is 429 here and 456 for DeepL's clients; what failed is not counted", async () => {
  const access = keyed({ charactersPerMonth: 12 });
  const { app, engine } = testApp({ access });
  const headers = { "Content-Type": "application/json", "X-API-Key": SECRET };
  engine.refusal = new MoqeError("unavailable", { action: "translate", rule: "the store is down" });
  assertEquals((await app.request(post(ok, { headers }))).status, 503);
  engine.refusal = undefined;
  assertEquals((await app.request(post(ok, { headers }))).status, 200);
  assertEquals((await app.request(post(ok, { headers }))).status, 200);
  const over = await app.request(post(ok, { headers }));
  assertEquals(over.status, 429);
  assert(Number(over.headers.get("Retry-After")) > 0);
  const deepl = await app.request("/v2/translate", {
    method: "POST",
    headers,
    body: JSON.stringify({ text: ["Hello"], source_lang: "EN", target_lang: "DE" }),
  });
  assertEquals([deepl.status, await deepl.json()], [456, {
    message: "Quota Exceeded: the key has 12 characters a month",
  }]);
  const usage = await app.request("/v2/usage", { headers });
  assertEquals(await usage.json(), { character_count: 10, character_limit: 12 });
});

Deno.test("usage starts anew each month and outlives a restart", async () => {
  let now = new Date("2026-11-30T23:59:00Z");
  const meter = new UsageMeter(() => now);
  meter.add("shop", 40);
  assertEquals(meter.secondsLeft(), 60);
  const path = await Deno.makeTempDir();
  try {
    const folder = new StateFolder(`${path}/state`);
    await folder.readAll();
    await folder.write("usage", meter.snapshot());
    const kept = (await new StateFolder(`${path}/state`).readAll()).get("usage");
    assertEquals(new UsageMeter(() => now, kept as never).used("shop"), 40);
    await folder.remove("usage");
    assertEquals((await folder.readAll()).size, 0);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
  now = new Date("2026-12-01T00:00:00Z");
  assertEquals(meter.used("shop"), 0);
});

Deno.test("X-Forwarded-For is believed only from trusted proxies, from its end", () => {
  const proxies = new TrustedProxies(["10.0.0.0/8", "fd00::/8", "::1"]);
  const of = (peer: string, header?: string) => proxies.clientOf(peer, header);
  assertEquals(of("8.8.8.8", "1.2.3.4"), "8.8.8.8", "an untrusted peer says nothing");
  assertEquals(of("10.1.1.1", "6.6.6.6, 1.2.3.4"), "1.2.3.4", "what the client wrote is not read");
  assertEquals(of("::1", "1.2.3.4, 10.9.9.9"), "1.2.3.4");
  assertEquals(of("::ffff:10.1.1.1", "1.2.3.4"), "1.2.3.4");
  assertEquals(of("fd12::1", "nonsense"), "fd12::1");
  assertEquals(of("10.1.1.1", undefined), "10.1.1.1");
  assertEquals(of("10.1.1.1", "9.9.9.9:4711"), "9.9.9.9", "some proxies write the port, too");
  assertEquals(of("10.1.1.1", "1.2.3.4:1, 10.9.9.9:80"), "1.2.3.4");
  assertEquals(of("::1", "[2001:db8::1]:4711, [fd00::2]"), "2001:db8::1");
  assertEquals(of("10.1.1.1", "2001:db8::1:4711"), "2001:db8::1:4711", "all of it is the address");
  assertEquals(of("10.1.1.1", "proxy:80"), "10.1.1.1");
  assertEquals(new TrustedProxies([]).clientOf("10.1.1.1", "1.2.3.4"), "10.1.1.1");
  for (const bad of ["10.0.0.0/33", "proxy.example", "10.0.0.0/", "1.2.3.4/8/9"]) {
    assertThrows(() => new TrustedProxies([bad]), MoqeError, "an address or a network");
  }
});

Deno.test("a key file with a fault is refused without quoting it", () => {
  const good = { name: "a", sha256: hashKey("x") };
  const bad: [unknown, string][] = [
    [{ keys: [] }, "keys"],
    [{ keys: [{ ...good, sha256: SECRET }] }, "sha256"],
    [{ keys: [good, { ...good, name: "b" }] }, "every sha256 must be there once"],
    [{ keys: [good, { name: "a", sha256: hashKey("y") }] }, "every name must be there once"],
    [{ keys: [{ ...good, scopes: ["root"] }] }, "scopes"],
    [{ keys: [{ ...good, key: SECRET }] }, "keys.0"],
  ];
  for (const [file, rule] of bad) {
    const error = assertThrows(() => parseKeys(JSON.stringify(file), "f"), MoqeError, rule);
    assertEquals(error.message.includes(SECRET), false);
  }
  assertThrows(() => parseKeys(`{"${SECRET}`, "f"), MoqeError, "it must be JSON");
});

Deno.test("moqe key shows a key and the line whose hash is the key's", async () => {
  const made = await moqe(["key", "shop", "--scopes", "translate", "--per-month", "500000"]);
  assertEquals(made.code, 0);
  const key = /: (moqe_\S{43})\n/.exec(made.err)![1]!;
  const [record] = parseKeys(made.out, "the output");
  assertEquals(record, {
    name: "shop",
    sha256: hashKey(key),
    scopes: ["translate"],
    charactersPerMonth: 500_000,
  });
  assertEquals(newKey().key.length, key.length);
  assertEquals((await moqe(["key", "no spaces"])).code, 2);
});

Deno.test("/metrics is behind a key of scope admin, or on a door of its own", async () => {
  const behind = testApp({ access: keyed({}, ["admin"]), admin: "key" });
  assertEquals((await behind.app.request("/metrics")).status, 403);
  const headers = { Authorization: `Bearer ${SECRET}` };
  assertEquals((await behind.app.request("/metrics", { headers })).status, 200);
  assertEquals(
    (await testApp({ access: keyed(), admin: "key" }).app.request("/metrics", { headers })).status,
    403,
  );
  const { options } = testApp({ admin: "apart" });
  const engine = new EngineDouble(), metrics = new HttpMetrics();
  const app = createApp(engine, options, metrics);
  const admin = createAdminApp(engine, options, metrics);
  assertEquals((await app.request("/metrics")).status, 404);
  await app.request(post(ok));
  const text = await (await admin.request("/metrics")).text();
  assertStringIncludes(text, 'moqe_http_requests_total{route="/translate",status="200"} 1');
  assertEquals((await admin.request(post(ok))).status, 404);
});

Deno.test("CORS is off, or for the origins listed and without credentials", async () => {
  const ask = (origins: string[], origin: string) =>
    testApp({ corsOrigins: origins }).app.request("/translate", {
      method: "OPTIONS",
      headers: { Origin: origin, "Access-Control-Request-Method": "POST" },
    });
  const allowed = (r: Response) => r.headers.get("Access-Control-Allow-Origin");
  const site = "https://site.example";
  assertEquals(allowed(await ask([], site)), null);
  assertEquals(allowed(await ask([site], site)), site);
  assertEquals(allowed(await ask([site], "https://evil.example")), null);
  const open = await ask(["*"], "https://evil.example");
  assertEquals(allowed(open), "*");
  assertEquals(open.headers.get("Access-Control-Allow-Credentials"), null);
});

Deno.test("every answer has its id under both names and may not be framed or sniffed", async () => {
  const { app } = testApp();
  for (const path of ["/languages", "/nowhere"]) {
    const { headers } = await app.request(path, { headers: { "X-Request-Id": "mine-1" } });
    assertEquals([headers.get("X-Request-Id"), headers.get("X-Trace-ID")], ["mine-1", "mine-1"]);
    assertEquals(headers.get("X-Content-Type-Options"), "nosniff");
    assertStringIncludes(headers.get("Content-Security-Policy")!, "frame-ancestors 'none'");
  }
});
