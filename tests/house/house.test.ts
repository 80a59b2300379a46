import { assertEquals } from "@std/assert";
import { checkDocs, checkDocument, checkSizes } from "./docs.ts";
import { checkLadder, importsOf } from "./ladder.ts";
import { checkPackages } from "./packages.ts";
import { readTree } from "./tree.ts";

Deno.test("this repository keeps to its ladder", () => {
  assertEquals(checkLadder(new Map([...readTree("src"), ...readTree("main.ts")])), []);
});

/** Quoted names of a checkpoint's tensors: what ends as they do, or has a part of a model before a dot. */
const TENSOR_NAME =
  /["'`][^"'`\n]*(\.(weight|bias)s?["'`]|\b(lm_head|embed_tokens|shared|self_attn|mlp|ffn)\.)/;

Deno.test("only architectures know the names of tensors", () => {
  const code = (text: string) => text.replaceAll(/\/\*[^]*?\*\/|\/\/.*|^import .*$/gm, "");
  const faults = (files: ReadonlyMap<string, string>) =>
    [...files].filter(([path, text]) =>
      !path.startsWith("src/arch/") && TENSOR_NAME.test(code(text))
    ).map(([path]) => path);
  assertEquals(faults(readTree("src")), []);
  const planted = ["`${x}.weight`", `"lm_head.weight"`, "'layers.0.mlp.gate'", `"norm.bias"`];
  assertEquals(
    faults(new Map(planted.map((text, i) => [`src/pack/${i}.ts`, `f(${text})`]))).length,
    4,
  );
});

const planted: [string, string, string, string][] = [
  ["a higher rung", "src/base/a.ts", `import { x } from "../nn/x.ts";`, "a higher rung"],
  ["a type of a higher rung", "src/store/a.ts", `import type { X } from "../nn/x.ts";`, "higher"],
  ["a sibling", "src/text/a.ts", `export * from "../store/x.ts";`, "sibling"],
  ["an import over lines", "src/quant/a.ts", `import {\n  x,\n} from "../arch/x.ts";`, "higher"],
  ["a dynamic import", "src/http/a.ts", `await import("../cli/x.ts");`, "higher"],
  ["a bare import", "src/engine/a.ts", `import "../http/x.ts";`, "higher"],
  [
    "kernels",
    "src/nn/a.ts",
    `import w from "../../kernels/cpu.wasm" with { type: "bytes" };`,
    "only src/backend",
  ],
  ["a Worker's file", "src/nn/a.ts", `new URL("../engine/w.ts", import.meta.url);`, "higher"],
  ["tests", "src/nn/a.ts", `import { x } from "../../tests/x.ts";`, "nothing in src"],
  ["main.ts", "src/cli/a.ts", `import { x } from "../../main.ts";`, "nothing in src"],
  ["a package out of place", "src/base/a.ts", `import { Hono } from "hono";`, "only src/http"],
  ["an unknown package", "src/http/a.ts", `import x from "npm:left-pad";`, "not in the list"],
  ["a folder off the ladder", "src/misc/a.ts", `import { x } from "../base/x.ts";`, "no rung"],
];
for (const [what, path, text, rule] of planted) {
  Deno.test(`the ladder refuses ${what}`, () => {
    const faults = checkLadder(new Map([[path, text]]));
    assertEquals([faults.length, faults[0]?.includes(rule)], [1, true], faults.join("\n"));
  });
}

Deno.test("the ladder allows lower rungs, one's own folder, kernels in backend and quant, all in main.ts", () => {
  const allowed: [string, string][] = [
    ["src/engine/a.ts", `import { x } from "../base/x.ts"; import { y } from "./y.ts";`],
    ["src/backend/cpu/a.ts", `import w from "../../../kernels/cpu.wasm" with { type: "bytes" };`],
    ["src/quant/a.ts", `import w from "../../kernels/cpu.wasm" with { type: "bytes" };`],
    ["src/backend/cpu/a.ts", `import { x } from "../contract.ts";`],
    ["src/cli/a.ts", `import { x } from "../http/x.ts"; import { y } from "node:util";`],
    ["src/http/a.ts", `import { x } from "hono/body-limit";`],
    ["main.ts", `import { x } from "./src/cli/x.ts";`],
    ["src/base/a.ts", `// import { x } from "../nn/x.ts"\n/* from "../nn/x.ts" */`],
  ];
  assertEquals(allowed.flatMap((file) => checkLadder(new Map([file]))), []);
});

Deno.test("imports are found with their lines, past strings that look like comments", () => {
  const text =
    `const a = "// not a comment";\nimport b from "./b.ts";\nexport type { C } from './c.ts';`;
  assertEquals(importsOf(text), [
    { specifier: "./b.ts", line: 2 },
    { specifier: "./c.ts", line: 3 },
  ]);
});

Deno.test("exports without a word, and files without a head, are named", () => {
  const text = "/** Head. */\nexport function run() {}\n\n/** Said. */\nexport class B {}\n";
  assertEquals(checkDocs(new Map([["src/a.ts", text], ["src/b.ts", "const x = 1;\n"]])), [
    "src/a.ts:2 exports function run without saying what it is",
    "src/b.ts:1 does not begin by saying what it is",
  ]);
});

Deno.test("a document's links and paths must exist", () => {
  const text =
    "See [x](src/x.ts#L3), [web](https://a.b), `src/y.ts`, `kernels/`.\n```\n`src/z.ts`\n```\n";
  const exists = (path: string) => path === "kernels/";
  assertEquals(checkDocument({ path: "D.md", text }, exists), [
    "D.md names src/x.ts, which does not exist",
    "D.md names src/y.ts, which does not exist",
  ]);
  const inside = { path: "a/D.md", text: "[x](../b/c.md#d) [y](e.md) `src/y.ts`" };
  assertEquals(checkDocument(inside, (path) => path === "b/c.md"), [
    "a/D.md names a/e.md, which does not exist",
    "a/D.md names src/y.ts, which does not exist",
  ]);
});

Deno.test("a document that has grown too large is named", () => {
  assertEquals(checkSizes(() => 8_000), []);
  const large = checkSizes((path) => path === "README.md" ? 8_001 : 0);
  assertEquals(large, ["README.md has 8001 bytes, more than 8000: shorten it"]);
});

const graph = {
  modules: [{ npmPackage: "hono@1.0.0" }, { npmPackage: "prom-client@1.0.0" }, {}],
  npmPackages: {
    "hono@1.0.0": { name: "hono", dependencies: [] },
    "prom-client@1.0.0": { name: "prom-client", dependencies: ["left-pad@1.0.0"] },
    "left-pad@1.0.0": { name: "left-pad", dependencies: [] },
    "yaml@1.0.0": { name: "yaml", dependencies: [] },
  },
};
/** Faults that name one of these packages; the graph lacks most of the product's. */
function packageFaults(names: string[], locked: string[], dev: string[] = locked): string[] {
  const lock = (keys: string[]) => ({
    npm: Object.fromEntries(keys.map((k) => [k, { integrity: k }])),
  });
  return checkPackages(graph, lock(locked), lock(dev))
    .filter((fault) => names.some((name) => fault.includes(name)));
}

Deno.test("a package that main.ts should not load is named, whichever package brings it", () => {
  const faults = packageFaults(["left-pad"], ["hono@1.0.0", "left-pad@1.0.0"]);
  assertEquals([faults.length, faults[0]?.split(":")[0]], [1, "main.ts loads left-pad"]);
});

Deno.test("a package of deno.lock that main.ts never loads is named, and one that dev.lock has otherwise", () => {
  assertEquals(packageFaults(["hono", "yaml"], ["hono@1.0.0"]), []);
  const [unused] = packageFaults(["yaml"], ["hono@1.0.0", "yaml@1.0.0"]);
  assertEquals(unused?.startsWith("deno.lock has yaml@1.0.0"), true, unused);
  const [other] = packageFaults(["hono"], ["hono@1.0.0"], ["hono@1.0.1"]);
  assertEquals(other?.startsWith("dev.lock lacks the hono@1.0.0"), true, other);
});
