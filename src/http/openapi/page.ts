/** GET /docs: the OpenAPI document as one page that loads nothing. */
import type { Operation, Paths } from "./parts.ts";

const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; }
details { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 6px; margin: .5rem 0; }
summary { padding: .5rem .75rem; cursor: pointer; }
summary code { font-weight: 600; }
.in { padding: 0 1rem 1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; }
`;

/** The page. Whatever comes from the document is escaped. */
export function docsPage(
  document: { info: { title: string; version: string; description: string }; paths: Paths },
): string {
  const { info, paths } = document;
  const byTag = new Map<string, string[]>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0] ?? "";
      byTag.set(tag, [...byTag.get(tag) ?? [], operationHtml(path, method, operation)]);
    }
  }
  const sections = [...byTag].map(([tag, operations]) =>
    `<section><h2>${escape(tag)}</h2>${operations.join("")}</section>`
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>${escape(info.title)}: API</title>
<style>${STYLE}</style></head><body><main><h1>${escape(info.title)} ${escape(info.version)}</h1>
<p>${escape(info.description)} <a href="openapi.json">openapi.json</a> is the same for programs.</p>
${sections.join("\n")}</main></body></html>`;
}

function operationHtml(path: string, method: string, operation: Operation): string {
  const content = operation.requestBody?.["content"] as
    | Record<string, { schema: unknown }>
    | undefined;
  const types = Object.keys(content ?? {});
  const fields = types.length === 0 ? "" : fieldTable(content![types[0]!]!.schema, types);
  const answers = Object.entries(operation.responses).map(([status, response]) =>
    `<tr><td>${escape(status)}</td><td>${escape(String(response["description"]))}</td></tr>`
  );
  return `<details><summary><code>${method.toUpperCase()} ${escape(path)}</code> ${
    escape(operation.summary)
  }</summary><div class="in">${
    parameterTable(operation.parameters ?? [])
  }${fields}<h3>Answers</h3><table>${answers.join("")}</table></div></details>`;
}

interface ObjectSchema {
  properties?: Record<string, { type?: string | string[]; description?: string; enum?: unknown[] }>;
  required?: string[];
}

/** What a path and its query take. */
function parameterTable(parameters: NonNullable<Operation["parameters"]>): string {
  const rows = parameters.map((parameter) => {
    const text = (name: string) => escape(String(parameter[name] ?? ""));
    const needed = parameter["required"] === true ? "required" : "";
    return `<tr><td><code>${text("name")}</code></td><td>${text("in")}</td><td>${needed}</td><td>${
      text("description")
    }</td></tr>`;
  });
  return rows.length === 0 ? "" : `<h3>Parameters</h3><table>${rows.join("")}</table>`;
}

function fieldTable(schema: unknown, types: readonly string[]): string {
  const { properties = {}, required = [] } = schema as ObjectSchema;
  const rows = Object.entries(properties).map(([name, property]) => {
    const needed = required.includes(name) ? "required" : "";
    const kind = [property.enum ?? property.type ?? ""].flat().join(" | ");
    return `<tr><td><code>${escape(name)}</code></td><td>${
      escape(kind)
    }</td><td>${needed}</td><td>${escape(property.description ?? "")}</td></tr>`;
  });
  return `<h3>Request</h3><p>${escape(types.join(", "))}</p><table>${rows.join("")}</table>`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
