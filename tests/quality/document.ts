/**
 * A Markdown file that people and a command write together: what the command made stands between two comments,
 * `<!-- made: NAME -->` and `<!-- end -->`; every other line is someone's and stays.
 */

const MADE = /<!-- made: (.+?) -->\n[\s\S]*?<!-- end -->/g;

/** Something that the command made, under the heading that it gets in a file that does not have it yet. */
export interface Part {
  readonly name: string;
  readonly heading: string;
  readonly text: string;
}

/**
 * The file with these parts anew. One that it does not have goes to the end; one that was not made this time stays.
 *
 * @throws Error for a comment that nothing closes: what follows it would be taken for made
 */
export function filled(document: string, parts: readonly Part[]): string {
  const due = new Map(parts.map((p) => [p.name, p]));
  const open = document.match(/<!-- made: /g)?.length ?? 0;
  const found = [...document.matchAll(MADE)];
  if (open !== found.length || found.some((m) => m[0].indexOf("<!-- made: ", 1) > 0)) {
    throw new Error("every <!-- made: NAME --> needs an <!-- end --> before the next");
  }
  const kept = document.replace(MADE, (whole, name: string) => {
    const part = due.get(name);
    due.delete(name);
    return part === undefined ? whole : marked(part);
  });
  const added = [...due.values()].map((p) => `${p.heading}\n\n${marked(p)}\n`);
  return [kept, ...added].filter((s) => s !== "").join("\n");
}

/** The text of a part that the file has; "" where it has not. */
export function made(document: string, name: string): string {
  const found = [...document.matchAll(MADE)].find((m) => m[1] === name)?.[0] ?? "";
  return found.split("\n").slice(1, -1).join("\n").trim();
}

function marked({ name, text }: Part): string {
  return `<!-- made: ${name} -->\n\n${text.trim()}\n\n<!-- end -->`;
}
