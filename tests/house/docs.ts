/** Documentation checks: exported things say what they are, documents name what exists, files stay short. */

/** "Up to about 250 lines", with room to finish a thought. */
export const MAX_LINES = 300;

const EXPORTED =
  /^export (?:default )?(?:async )?(?:abstract )?(function\*?|class|interface) (\w+)/;

/**
 * Exported functions, classes and interfaces of src without a word: a comment above, or, for an interface, on
 * its members; an export that the file is named after has the file's own head. Files without a head, long files.
 */
export function checkDocs(files: ReadonlyMap<string, string>): string[] {
  const faults: string[] = [];
  for (const [path, text] of files) {
    const lines = text.split("\n");
    if (!text.startsWith("/**")) faults.push(`${path}:1 does not begin by saying what it is`);
    if (lines.length > MAX_LINES) {
      faults.push(`${path} has ${lines.length} lines, more than ${MAX_LINES}: split it`);
    }
    for (const [i, line] of lines.entries()) {
      const match = EXPORTED.exec(line);
      if (match === null || documented(lines, i) || namesFile(match[2]!, path)) continue;
      if (match[1] === "interface" && membersDocumented(lines, i)) continue;
      faults.push(`${path}:${i + 1} exports ${match[1]} ${match[2]} without saying what it is`);
    }
  }
  return faults;
}

/** FileStore in file_store.ts. */
function namesFile(name: string, path: string): boolean {
  const stem = path.slice(path.lastIndexOf("/") + 1, -".ts".length);
  return stem.replaceAll("_", "").toLowerCase() === name.toLowerCase();
}

/** Some line of an interface's body has a comment. */
function membersDocumented(lines: readonly string[], at: number): boolean {
  for (let i = at + 1; i < lines.length && !lines[i]!.startsWith("}"); i++) {
    if (lines[i]!.includes("/**") || lines[i]!.includes(" // ")) return true;
  }
  return false;
}

/** A comment ends just above, past a lint directive. The file's own head is nobody's. */
function documented(lines: readonly string[], at: number): boolean {
  for (let i = at - 1; i > 0; i--) {
    const line = lines[i]!.trim();
    if (line.endsWith("*/")) return true;
    if (!line.startsWith("// deno-lint-ignore")) return false;
  }
  return false;
}

/** What must stay small, in bytes: documents, so that they are read, and the picture that README shows. */
export const MOST_BYTES: ReadonlyMap<string, number> = new Map([
  ["README.md", 8_000],
  ["ARCHITECTURE.md", 12_000],
  ["deploy/README.md", 10_000],
  ["models/recipe/README.md", 8_000],
  ["tools/page.png", 200_000],
]);

/** Files of MOST_BYTES that are larger. */
export function checkSizes(sizeOf: (path: string) => number): string[] {
  return [...MOST_BYTES].filter(([path, most]) => sizeOf(path) > most)
    .map(([path, most]) => `${path} has ${sizeOf(path)} bytes, more than ${most}: shorten it`);
}

/**
 * Files that a document names and that do not exist: links, from its own folder, and `paths` in backticks that begin
 * with a top folder of the repository.
 */
export function checkDocument(
  document: { path: string; text: string },
  exists: (path: string) => boolean,
): string[] {
  const named = new Set<string>(), root = "file:///";
  for (const [, target] of document.text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
    if (/^[a-z]+:/i.test(target!)) continue;
    named.add(new URL(target!, new URL(document.path, root)).href.slice(root.length));
  }
  const tops = /`((?:src|tests|kernels|models|deploy|tools|\.ci)\/[\w./-]*)`/g;
  // A code block shows files of its reader's, not the repository's.
  const prose = document.text.replace(/^```[^]*?^```/gm, "");
  for (const [, target] of prose.matchAll(tops)) named.add(target!);
  return [...named]
    .filter((path) => !exists(path))
    .map((path) => `${document.path} names ${path}, which does not exist`);
}
