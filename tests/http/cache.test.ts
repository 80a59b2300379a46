import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { testApp } from "./double.ts";

Deno.test("GET /cache is a page that loads from its own server alone", async () => {
  const { app } = testApp();
  const page = await app.request("/cache");
  assertEquals(page.status, 200);
  assertStringIncludes(page.headers.get("Content-Security-Policy")!, "script-src 'self'");
  const html = await page.text();
  for (const [, path] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
    const file = await app.request(path!);
    assertEquals(file.status, 200, path);
    assert((await file.text()).length > 100);
  }
  assertEquals((await app.request("/cache", { method: "POST" })).status, 405);
});

Deno.test("GET /cache/stats has what the page draws, and no texts", async () => {
  const { app, engine } = testApp();
  const stats = await (await app.request("/cache/stats")).json();
  assertEquals(stats.experts.heat.layers[0].uses, [3, 0, 9]);
  assertEquals(stats.experts.heat.languages.deu_Latn, { hits: 70, misses: 30 });
  assertEquals([stats.tiers.ram.blocks, stats.tiers.disk.hits, stats.prefetch.used], [2, 20, 20]);
  assertEquals(stats.ledger.gpu.budgetBytes, 1000);
  engine.state = "loading";
  assertEquals((await app.request("/cache/stats")).status, 503);
});
