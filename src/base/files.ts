/** Files that may be missing, and files that others may write at the same time. */

/** What a file system call finds; undefined where there is nothing of that name. Throws its other errors. */
export async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Writes a text whole or not at all, in place of what was there. Whoever else does so at the same time loses or wins,
 * but the two never mix: the name in between is random, as the first process of every container has the same number.
 */
export async function replaceText(path: string, text: string): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeTextFile(temporary, text, { createNew: true });
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
