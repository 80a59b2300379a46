/** The repository's own TypeScript as text, for the checks that read it. */

/** The repository's folder. */
export const ROOT = new URL("../../", import.meta.url);

/** Every .ts file under a path from the root, or that file alone; keys are paths from the root. */
export function readTree(path: string): Map<string, string> {
  const files = new Map<string, string>();
  if (path.endsWith(".ts")) return files.set(path, Deno.readTextFileSync(new URL(path, ROOT)));
  for (const entry of Deno.readDirSync(new URL(path, ROOT))) {
    const inside = `${path}/${entry.name}`;
    if (!entry.isDirectory && !entry.name.endsWith(".ts")) continue;
    for (const [name, text] of readTree(inside)) files.set(name, text);
  }
  return files;
}
