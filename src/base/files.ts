/** Files that may be missing. */

/** What a file system call finds; undefined where there is nothing of that name. Throws its other errors. */
export async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
