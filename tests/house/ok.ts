/** The checks of `deno task ok` that are neither format, lint, types nor tests: ladder, packages, documents, kernels. */
import { checkDocs, checkDocument, checkSizes } from "./docs.ts";
import { checkLadder } from "./ladder.ts";
import { checkProductPackages } from "./packages.ts";
import { readTree, ROOT } from "./tree.ts";

/** Documents whose links and paths must exist. */
const DOCUMENTS = ["README.md", "ARCHITECTURE.md", "deploy/README.md", "models/recipe/README.md"];

/** Runs a check and says how it went. */
async function check(name: string, run: () => string[] | Promise<string[]>): Promise<boolean> {
  const faults = await run();
  console.log(`${faults.length === 0 ? "ok  " : "FAIL"} ${name}`);
  for (const fault of faults) console.log(`     ${fault}`);
  return faults.length === 0;
}

function checkDocuments(): string[] {
  return DOCUMENTS.flatMap((path) => {
    let text: string;
    try {
      text = Deno.readTextFileSync(new URL(path, ROOT));
    } catch {
      return [`${path} does not exist`];
    }
    return checkDocument({ path, text }, exists);
  });
}

function exists(path: string): boolean {
  try {
    Deno.statSync(new URL(path, ROOT));
    return true;
  } catch {
    return false;
  }
}

function sizeOf(path: string): number {
  return Deno.statSync(new URL(path, ROOT)).size;
}

/** kernels/cpu.wasm must equal a rebuild of its source. */
async function checkKernels(): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--lock=dev.lock", "kernels/build.ts", "--check"],
    cwd: ROOT,
  }).output();
  if (success) return [];
  const decoder = new TextDecoder();
  return `${decoder.decode(stdout)}${decoder.decode(stderr)}`.trim().split("\n");
}

if (import.meta.main) {
  const source = readTree("src");
  const program = new Map([...source, ...readTree("main.ts")]);
  const passed = [
    await check("imports keep to the ladder", () => checkLadder(program)),
    await check("main.ts loads the product's packages alone", checkProductPackages),
    await check("exports and files say what they are", () => checkDocs(program)),
    await check("documents name what exists", checkDocuments),
    await check("documents and the picture are small", () => checkSizes(sizeOf)),
    await check("kernels/cpu.wasm equals a rebuild", checkKernels),
  ];
  Deno.exit(passed.every(Boolean) ? 0 : 1);
}
