/**
 * What starting moqe downloads: the packages of main.ts's graph, which are those of deno.lock, and no others. dev.lock
 * has these and the packages of tests and tools, which deno.json names in its `scopes`.
 */
import { ROOT } from "./tree.ts";

/** The product's packages, those included that its own packages bring. */
export const PRODUCT: readonly string[] = [
  "@huggingface/jinja",
  "@huggingface/tokenizers",
  "@lezer/common",
  "@lezer/highlight",
  "@lezer/markdown",
  "@opentelemetry/api",
  "aws4fetch",
  "bintrees",
  "dom-serializer",
  "domelementtype",
  "domhandler",
  "domutils",
  "eld",
  "entities",
  "github-slugger",
  "hono",
  "htmlparser2",
  "jsonc-parser",
  "prom-client",
  "saxes",
  "tdigest",
  "xmlchars",
  "zod",
];

/** As much of a lock file of Deno's as is looked at: packages by name@version. */
export interface Lock {
  readonly npm: Readonly<Record<string, { readonly integrity?: string }>>;
}

/** As much of what `deno info --json` tells as is looked at. */
export interface Graph {
  readonly modules: readonly { readonly npmPackage?: string }[];
  readonly npmPackages: Readonly<
    Record<string, { readonly name: string; readonly dependencies: readonly string[] }>
  >;
}

/** Faults of the product's graph and of both lock files, one line each, with the package's name. */
export function checkPackages(graph: Graph, lock: Lock, dev: Lock): string[] {
  const faults: string[] = [];
  const used = namesIn(graph), locked = Object.keys(lock.npm);
  const remedy = "what tests and tools alone use belongs into a scope of deno.json, what the " +
    "product needs into the list of tests/house/packages.ts";
  for (const name of used) {
    if (!PRODUCT.includes(name)) faults.push(`main.ts loads ${name}: ${remedy}`);
  }
  for (const key of locked) {
    if (used.has(nameOf(key))) continue;
    faults.push(
      `deno.lock has ${key}, which every start would download and main.ts never loads: ` +
        "git restore deno.lock, and run tests by deno task test, or with --lock=dev.lock",
    );
  }
  for (const name of PRODUCT) {
    if (!used.has(name)) faults.push(`main.ts no longer loads ${name}: ${remedy}`);
  }
  for (const key of locked) {
    if (used.has(nameOf(key)) && lock.npm[key]?.integrity !== dev.npm[key]?.integrity) {
      faults.push(`dev.lock lacks the ${key} of deno.lock: tests must run what is served`);
    }
  }
  return faults;
}

/** Names of the packages that modules of a graph load, and of what these bring. */
function namesIn({ modules, npmPackages }: Graph): Set<string> {
  const keys = new Set(modules.flatMap(({ npmPackage }) => npmPackage ?? []));
  // A set that grows while it is walked is walked to its new end.
  for (const key of keys) npmPackages[key]?.dependencies.forEach((each) => keys.add(each));
  return new Set([...keys].map(nameOf));
}

/** "@lezer/common" of "@lezer/common@1.5.5", of "name@1.0.0_peer@2.0.0" the first. */
export function nameOf(key: string): string {
  return key.slice(0, key.indexOf("@", 1));
}

/** The same for this checkout. Throws with Deno's own words where main.ts has no graph. */
export async function checkProductPackages(): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--lock=dev.lock", "main.ts"],
    cwd: ROOT,
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`deno info main.ts: ${decoder.decode(stderr)}`);
  const read = (name: string): Lock => JSON.parse(Deno.readTextFileSync(new URL(name, ROOT)));
  return checkPackages(JSON.parse(decoder.decode(stdout)), read("deno.lock"), read("dev.lock"));
}
