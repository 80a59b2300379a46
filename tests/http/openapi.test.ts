import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createApp } from "../../src/http/app.ts";
import { testApp } from "./double.ts";

Deno.test("/openapi.json is OpenAPI 3.1 and has every route, and no route that is not there", async () => {
  const { engine, options } = testApp();
  const app = createApp(engine, options);
  const document = await (await app.request("/openapi.json")).json();
  assertEquals(document.openapi, "3.1.0");
  const described = new Set<string>();
  for (const [path, methods] of Object.entries(document.paths)) {
    // deno-lint-ignore no-explicit-any
    for (const [method, operation] of Object.entries(methods as any) as any) {
      described.add(`${method.toUpperCase()} ${path}`);
      assert(operation.summary && Object.keys(operation.responses).length > 0, path);
      for (const name of path.matchAll(/\{(\w+)\}/g)) {
        assert(operation.parameters.some((p: { name: string }) => p.name === name[1]), path);
      }
    }
  }
  const methods = new Set(["GET", "POST", "PUT", "PATCH", "DELETE"]);
  const routes = new Set(
    app.routes.filter((r) => methods.has(r.method) && !r.path.includes("*"))
      .map((r) => `${r.method} ${r.path.replace(/:(\w+)/g, "{$1}")}`),
  );
  for (const route of described) assert(routes.has(route), `${route} is described and not there`);
  // A second method for the same answer, pages and the document itself are left out.
  const own = /^GET \/(docs|openapi\.json|page\.\w+|cache.*)?$/;
  const twins = /^(GET \/v2\/document|POST \/v2\/(languages|usage))/;
  const missing = [...routes].filter((r) => !described.has(r) && !own.test(r) && !twins.test(r));
  assertEquals(missing, []);
});

Deno.test("/docs shows every path, loads nothing and runs nothing", async () => {
  const { app } = testApp();
  const page = await app.request("/docs");
  const text = await page.text();
  for (const path of ["/translate", "/v2/document/{id}/result", "/ready"]) {
    assertStringIncludes(text, `${path}</code>`);
  }
  assertEquals(/<script|src=|http:\/\//.test(text), false);
  assertStringIncludes(page.headers.get("Content-Security-Policy")!, "default-src 'none'");
});
