import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MoqeError } from "../../src/base/errors.ts";
import { post, testApp } from "./double.ts";

const ok = { q: "Top secret sentence", source: "en", target: "de" };

Deno.test("GET /languages lists trained pairs only", async () => {
  const { app } = testApp();
  assertEquals(await (await app.request("/languages")).json(), [
    { code: "de", name: "German", targets: [] },
    { code: "en", name: "English", targets: ["de", "fr"] },
    { code: "fr", name: "French", targets: [] },
  ]);
});

Deno.test("GET /live is alive whatever the model does", async () => {
  const { app, engine } = testApp();
  engine.state = "failed";
  const response = await app.request("/live");
  assertEquals([response.status, await response.json()], [200, { status: "alive" }]);
});

Deno.test("GET /ready and every other route say 503 while the model loads", async () => {
  const { app, engine } = testApp();
  engine.state = "loading";
  engine.info = undefined;
  const ready = await app.request("/ready");
  assertEquals([ready.status, await ready.json()], [503, { status: "loading", progress: 0.25 }]);
  for (const request of [post(ok), new Request("http://localhost/languages")]) {
    const response = await app.request(request);
    assertEquals([response.status, response.headers.get("Retry-After")], [503, "2"]);
    assertStringIncludes((await response.json()).error, "the model is loading (25 %)");
  }
});

Deno.test("GET /ready is 200 once the model answers, and 503 with a reason when draining", async () => {
  const { app, gate } = testApp();
  assertEquals((await app.request("/ready")).status, 200);
  gate.drain();
  const response = await app.request("/ready");
  assertEquals(response.status, 503);
  assertEquals(await response.json(), { status: "draining", reason: "shutting down" });
  assertEquals((await app.request(post(ok))).status, 503);
});

Deno.test("GET /ready says why a model could not be loaded", async () => {
  const reason = new MoqeError("over_budget", { action: "start", rule: "too small a budget" });
  const { app, engine } = testApp({}, (engine) => {
    engine.state = "failed";
    engine.ready = Promise.reject(reason);
  });
  await engine.ready.catch(() => {});
  const response = await app.request("/ready");
  assertEquals(response.status, 503);
  assertEquals(await response.json(), { status: "failed", reason: reason.message });
});

Deno.test("requests over the bound are refused at once with Retry-After", async () => {
  const { app, engine, gate } = testApp({ maxRequests: 2 });
  engine.held = true;
  const held = [app.request(post(ok)), app.request(post(ok))];
  await engine.called(2);
  const third = await app.request(post(ok));
  assertEquals([third.status, third.headers.get("Retry-After")], [503, "1"]);
  engine.release();
  assertEquals((await Promise.all(held)).map((r) => r.status), [200, 200]);
  assertEquals(gate.inFlight, 0);
});

Deno.test("a client that goes away cancels the engine's work and frees its place", async () => {
  const { app, engine, gate } = testApp();
  engine.held = true;
  const client = new AbortController();
  const answer = app.request(post(ok, { signal: client.signal }));
  await engine.called(1);
  client.abort();
  assertEquals((await answer).status, 499);
  assertEquals([engine.cancelled, gate.inFlight], [1, 0]);
});

Deno.test("an abort after the answer, as Deno sends it, cancels nothing", async () => {
  const { app, engine } = testApp();
  const client = new AbortController();
  const response = await app.request(post(ok, { signal: client.signal }));
  client.abort();
  assertEquals([response.status, engine.cancelled], [200, 0]);
});

Deno.test("unknown paths are 404 and wrong methods 405, in the shape of every error", async () => {
  const { app } = testApp();
  const missing = await app.request("/nothing");
  assertEquals([missing.status, Object.keys(await missing.json())], [404, ["error"]]);
  for (
    const [path, method, allow] of [
      ["/live", "DELETE", "GET"],
      ["/ready", "PUT", "GET"],
      ["/metrics", "POST", "GET"],
    ] as const
  ) {
    const response = await app.request(path, { method });
    assertEquals([response.status, response.headers.get("Allow")], [405, allow]);
    assertEquals(Object.keys(await response.json()), ["error"]);
  }
});

Deno.test("secure headers are on, CORS is off", async () => {
  const { app } = testApp();
  const headers = (await app.request("/health", { headers: { Origin: "http://evil" } })).headers;
  assertEquals(headers.get("X-Content-Type-Options"), "nosniff");
  assertEquals(headers.get("Access-Control-Allow-Origin"), null);
});

Deno.test("a request id is kept when it is harmless and made when not", async () => {
  const { app } = testApp();
  const id = async (sent: string) =>
    (await app.request("/health", { headers: { "X-Request-Id": sent } })).headers
      .get("X-Request-Id");
  assertEquals(await id("trace-42"), "trace-42");
  assertMatch((await id("a b{}<script>"))!, /^[0-9a-f-]{36}$/);
});

Deno.test("logs are JSON lines with facts and never the text or the query", async () => {
  const { app, lines } = testApp();
  await app.request(post(ok));
  await app.request("/translate?q=Top+secret+sentence&source=en&target=zz", { method: "POST" });
  await app.request("/Top-secret-path");
  const logged = lines.map((l) => JSON.parse(l));
  assertEquals(logged.map((l) => [l.route, l.status]), [
    ["/translate", 200],
    ["/translate", 400],
    ["unmatched", 404],
  ]);
  assertEquals([logged[0].sourceTokens, logged[0].targetTokens, logged[0].texts], [3, 5, 1]);
  assertEquals(lines.join("").includes("secret"), false);
});

Deno.test("GET /metrics has every family, and labels from closed sets only", async () => {
  const { app } = testApp();
  await app.request(post(ok));
  await app.request("/secret-path");
  const first = await app.request("/metrics");
  assertStringIncludes(first.headers.get("Content-Type")!, "text/plain; version=0.0.4");
  await first.text();
  const text = await (await app.request("/metrics")).text();
  for (
    const line of [
      'moqe_http_requests_total{route="/translate",status="200"} 1',
      'moqe_http_requests_total{route="unmatched",status="404"} 1',
      'moqe_http_requests_total{route="/metrics",status="200"} 1',
      'moqe_http_request_seconds_count{route="/translate"} 1',
      'moqe_tokens_total{direction="in"} 300',
      'moqe_tokens_total{direction="out"} 500',
      'moqe_queue_sentences{state="waiting"} 1',
      'moqe_expert_lookups_total{result="hit"} 70',
      "moqe_expert_evictions_total 24",
      "moqe_expert_loaded_bytes_total 7680",
      "moqe_fetch_requests_total 31",
      'moqe_tier_lookups_total{tier="disk",result="hit"} 20',
      'moqe_tier_lookups_total{tier="ram",result="miss"} 25',
      "moqe_fetch_refused_total 1",
      `moqe_fetch_retries_total{reason="reset"} 2`,
      'moqe_ledger_bytes{budget="gpu",line="arena"} 10',
      'moqe_ledger_bytes{budget="host",line="requests"} 80',
      'moqe_ledger_budget_bytes{budget="gpu"} 1000',
      "moqe_ready 1",
    ]
  ) assertStringIncludes(text, `${line}\n`);
  assertMatch(text, /process_resident_memory_bytes \d{6,}/);
  assertEquals(text.includes("secret"), false);
});

Deno.test("GET /metrics answers without the engine's numbers while it loads", async () => {
  const { app, engine } = testApp();
  engine.state = "loading";
  const text = await (await app.request("/metrics")).text();
  assertStringIncludes(text, "moqe_ready 0\n");
  assertEquals(text.includes("moqe_expert_lookups_total{"), false);
});
