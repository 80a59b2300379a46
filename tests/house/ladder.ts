/** The import ladder: a file imports from lower rungs or its own folder. DESIGN.md and ARCHITECTURE.md have the table. */

/** Folders of src by rung, lowest first; folders on one rung do not import each other. */
export const RUNGS: readonly (readonly string[])[] = [
  ["base"],
  ["text", "quant", "store"],
  ["checkpoint", "backend"],
  ["pack", "experts"],
  ["nn"],
  ["arch"],
  ["engine"],
  ["http"],
  // `serve` is a command that starts the application, so commands stand above it.
  ["cli"],
];

/** Packages, and the folders that may import them: a dependency has one home. */
const PACKAGES: ReadonlyMap<string, readonly string[]> = new Map([
  ["hono", ["http"]],
  ["@opentelemetry/api", ["http"]],
  ["prom-client", ["http"]],
  ["zod", ["store", "checkpoint", "pack", "arch", "http"]],
  ["aws4fetch", ["store"]],
  ["@huggingface/tokenizers", ["text"]],
  ["@huggingface/jinja", ["text"]],
  ["eld", ["text"]],
  ["htmlparser2", ["text"]],
  ["entities", ["text"]],
  ["saxes", ["text"]],
  ["jsonc-parser", ["text"]],
  ["@lezer/markdown", ["text"]],
  ["github-slugger", ["text"]],
]);

/** An import as written, and the line that it is on. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
}

/** Faults of a tree: one line each, as "FILE:LINE imports SPECIFIER: RULE". Keys are paths from the root. */
export function checkLadder(files: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  for (const [path, text] of files) {
    for (const { specifier, line } of importsOf(text)) {
      const rule = faultOf(path, specifier);
      if (rule !== undefined) faults.push(`${path}:${line} imports ${specifier}: ${rule}`);
    }
  }
  return faults;
}

/** Why a file may not import something; undefined where it may. */
function faultOf(path: string, specifier: string): string | undefined {
  const from = placeOf(path);
  if (!specifier.startsWith(".")) return packageFault(from, specifier);
  const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
  const to = placeOf(target);
  if (to.top === "kernels") {
    return ["backend", "quant"].includes(from.folder)
      ? undefined
      : "only src/backend and src/quant import kernels/";
  }
  if (to.top !== "src") return `nothing in src imports ${to.top}`;
  if (from.top === "main.ts" || from.folder === to.folder) return undefined;
  const lower = rungOf(to.folder), own = rungOf(from.folder);
  if (lower === -1) return `src/${to.folder} is on no rung of the ladder`;
  if (own === -1) return `src/${from.folder} is on no rung of the ladder`;
  if (lower === own) return `src/${to.folder} is a sibling on the same rung`;
  return lower < own ? undefined : `src/${to.folder} is on a higher rung than src/${from.folder}`;
}

function packageFault(from: Place, specifier: string): string | undefined {
  if (specifier.startsWith("node:")) return undefined;
  const bare = [...PACKAGES.keys()].find((p) => specifier === p || specifier.startsWith(`${p}/`));
  if (bare === undefined) return "the package is not in the list of tests/house/ladder.ts";
  const homes = PACKAGES.get(bare)!;
  if (homes.includes(from.folder)) return undefined;
  return `only ${homes.map((h) => `src/${h}`).join(", ")} may`;
}

interface Place {
  /** First part of the path: src, kernels, main.ts. */
  readonly top: string;
  /** Folder inside src, "" elsewhere. */
  readonly folder: string;
}

function placeOf(path: string): Place {
  const parts = path.split("/");
  return { top: parts[0]!, folder: parts[0] === "src" && parts.length > 2 ? parts[1]! : "" };
}

function rungOf(folder: string): number {
  return RUNGS.findIndex((rung) => rung.includes(folder));
}

/**
 * Static, dynamic, type-only and `with` imports, re-exports, and relative addresses made with
 * new URL(..., import.meta.url). Text in comments is not looked at.
 */
export function importsOf(text: string): Import[] {
  const code = withoutComments(text);
  const patterns = [
    /\b(?:import|export)\s[^;"'`()]*?\bfrom\s*["']([^"']+)["']/g,
    /\bimport\s*["']([^"']+)["']/g,
    /\bimport\s*\(\s*["'`]([^"'`]+)["'`]/g,
    /\bnew\s+URL\(\s*["'`](\.[^"'`]+\.(?:ts|js|wasm|wgsl))["'`]\s*,\s*import\.meta\.url/g,
  ];
  return patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map((match) => ({
      specifier: match[1]!,
      line: code.slice(0, match.index + match[0].length).split("\n").length,
    }))
  ).sort((a, b) => a.line - b.line);
}

/** Blanks comments out, keeping lines; strings are kept, since a comment's start may be inside one. */
export function withoutComments(text: string): string {
  const pattern =
    /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[^])*`)|\/\/[^\n]*|\/\*[^]*?\*\//g;
  return text.replace(
    pattern,
    (all, string: string | undefined) => string ?? all.replace(/[^\n]/g, " "),
  );
}
