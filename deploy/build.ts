/** Bundles the program into one JavaScript file: kernels, packages and the engine's Worker inside. */
import { createRequire, isBuiltin } from "node:module";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** Packages in CommonJS ask for Node's modules with `require`, which an ES module does not have. */
const REQUIRE = `import { createRequire } from "node:module";
const require = createRequire(import.meta.url);`;

/** Writes the bundle to `target`. Throws Error with esbuild's messages. */
export async function bundle(target: string): Promise<void> {
  await esbuild.build({
    absWorkingDir: ROOT,
    entryPoints: ["main.ts"],
    outfile: target,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "esnext",
    charset: "utf8",
    legalComments: "eof",
    logLevel: "silent",
    banner: { js: REQUIRE },
    // From here on this file is also the Worker's: see src/engine/client.ts.
    define: { MOQE_BUNDLE: "true" },
    minifyWhitespace: true,
    minifySyntax: true,
    plugins: [denoPackages, tablesAsText],
  });
}

/** Ends esbuild's own process; the next bundle starts it again. */
export async function stopBundler(): Promise<void> {
  await esbuild.stop();
}

/** Finds packages where Deno keeps them: names of the import map from the program's files, others as Node would. */
const denoPackages: esbuild.Plugin = {
  name: "deno-packages",
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, ({ path, importer, kind }) => {
      if (isBuiltin(path)) {
        return { path: path.startsWith("node:") ? path : `node:${path}`, external: true };
      }
      if (kind === "entry-point") return undefined;
      const inProgram = importer.startsWith(ROOT) && !importer.includes("/node_modules/");
      if (inProgram) return { path: forBundlers(fileURLToPath(import.meta.resolve(path))) };
      return { path: createRequire(importer).resolve(path) };
    });
  },
};

/** A package's file for bundlers, where it names one: what Node gets may be UMD, which hides what it requires. */
function forBundlers(file: string): string {
  const { folder, text } = packageOf(file);
  const { module, exports } = JSON.parse(text) as { module?: string; exports?: unknown };
  return module === undefined || exports !== undefined ? file : `${folder}/${module}`;
}

/** The nearest package.json at or above a file's folder. */
function packageOf(file: string): { folder: string; text: string } {
  for (let folder = file; folder !== "";) {
    folder = folder.slice(0, folder.lastIndexOf("/"));
    try {
      return { folder, text: Deno.readTextFileSync(`${folder}/package.json`) };
    } catch {
      // Further up.
    }
  }
  throw new Error(`cannot bundle ${file}: no package.json above it`);
}

/**
 * The detector's tables are a megabyte of object literals. As JSON inside a string they are one token to whoever parses
 * the bundle: a first start, which has no cache of that, takes 100 MiB less.
 */
const tablesAsText: esbuild.Plugin = {
  name: "tables-as-text",
  setup(build) {
    build.onLoad({ filter: /\/eld\/[^/]+\/src\/ngrams\/\w+\.js$/ }, async ({ path }) => {
      const tables: Record<string, unknown> = await import(`file://${path}`);
      const lines = Object.entries(tables).map(([name, table]) =>
        `export const ${name} = JSON.parse(${JSON.stringify(JSON.stringify(table))});`
      );
      return { contents: lines.join("\n"), loader: "js" };
    });
  },
};

if (import.meta.main) {
  const target = Deno.args[0] ?? `${ROOT}dist/moqe.js`;
  try {
    await bundle(target);
    console.log(`wrote ${target}, ${(await Deno.stat(target)).size} bytes`);
  } finally {
    await stopBundler();
  }
}
