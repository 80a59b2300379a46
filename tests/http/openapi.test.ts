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
  // Pages, what they are made of and the document itself are left out.
  const own = /^GET \/(docs|openapi\.json|spec|page\.\w+|cache\/cache\.\w+)?$/;
  const missing = [...routes].filter((r) => !described.has(r) && !own.test(r));
  assertEquals(missing, []);
});

Deno.test("/openapi.json has what routes take from the query", async () => {
  const { app } = testApp();
  const { paths } = await (await app.request("/openapi.json")).json();
  const query = (path: string, method: string) =>
    paths[path][method].parameters
      .filter((p: { in: string }) => p.in === "query")
      .map((p: { name: string; required: boolean }) => [p.name, p.required]);
  const both = (required: boolean) => [["source_lang", required], ["target_lang", required]];
  assertEquals(query("/v3/glossaries/{id}/dictionaries", "delete"), both(true));
  assertEquals(query("/v3/glossaries/{id}/entries", "get"), both(false));
  assertEquals(query("/v2/document/{id}", "get"), [["document_key", true]]);
  const page = await (await app.request("/docs")).text();
  assertStringIncludes(page, "<td><code>target_lang</code></td><td>query</td><td>required</td>");
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
