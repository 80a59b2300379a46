/** Files that are written when the work is done: looked at before it begins, so that none of it is lost on a name. */
import { errorText, MoqeError } from "../base/errors.ts";
import { unlessMissing } from "../base/files.ts";

/** Throws MoqeError `bad_input` for a file that cannot be written. What is there stays as it is. */
export async function checkWritable(path: string): Promise<void> {
  try {
    const found = await unlessMissing(Deno.stat(path));
    if (found?.isDirectory) throw new Error("it is a folder");
    // A pipe or a device is not opened twice.
    if (found !== undefined && !found.isFile) return;
    (await Deno.open(path, { append: true, create: true })).close();
    if (found === undefined) await Deno.remove(path);
  } catch (cause) {
    throw new MoqeError("bad_input", {
      action: `write ${path}`,
      rule: errorText(cause),
      remedy: "name another place, in a folder that is there",
      cause,
    });
  }
}
