/** The page at / as the server gives it; tests/page/page.ts has it in a browser. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { testApp } from "./double.ts";

Deno.test("the page is served with its parts and may load nothing from elsewhere", async () => {
  const { app } = testApp();
  const page = await app.request("/");
  assertStringIncludes(page.headers.get("content-type")!, "text/html");
  const policy = page.headers.get("content-security-policy")!;
  assert(policy.startsWith("default-src 'none'") && !policy.includes("unsafe"));
  const html = await page.text();
  const parts = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map((m) => m[1]!);
  assertEquals(parts, ["data:,", "page.css", "page.js"]);
  for (const part of parts.slice(1)) assertEquals((await app.request(`/${part}`)).status, 200);
  const script = await (await app.request("/page.js")).text();
  // Every element that the script names is on the page.
  for (const [, id] of script.matchAll(/elements(?:\.(\w+)|\["([\w-]+)"\])/g)) {
    if (id !== undefined) assertStringIncludes(html, `id="${id}"`);
  }
  assertEquals((await app.request("/", { method: "POST" })).status, 405);
});
