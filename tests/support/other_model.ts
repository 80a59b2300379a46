/** A second model for services of several: the shipped one's weights under another name and for other pairs. */
import { modelAddress } from "../../src/cli/model.ts";
import { MANIFEST_NAME } from "../../src/store/manifest.ts";

/** Runs `use` with the folder of a model that has these pairs (FLORES codes); it is removed afterwards. */
export async function withOtherModel<T>(
  pairs: string[],
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const shipped = modelAddress(undefined);
  const folder = await Deno.makeTempDir({ prefix: "moqe-test-" });
  try {
    for (const { name } of Deno.readDirSync(shipped)) {
      if (name !== MANIFEST_NAME) await Deno.symlink(`${shipped}/${name}`, `${folder}/${name}`);
    }
    const manifest = JSON.parse(await Deno.readTextFile(`${shipped}/${MANIFEST_NAME}`));
    const text = JSON.stringify({ ...manifest, name: "other", pairs });
    await Deno.writeTextFile(`${folder}/${MANIFEST_NAME}`, text);
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
