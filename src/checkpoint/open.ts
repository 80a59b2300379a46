/** Opens a checkpoint by its address. */
import { MoqeError } from "../base/errors.ts";
import type { Checkpoint, Folder, FolderOptions } from "./contract.ts";
import { DiskFolder } from "./disk_folder.ts";
import { filePath } from "../store/open.ts";
import { s3Place } from "../store/s3_address.ts";
import { HttpFolder } from "./http_folder.ts";
import { isHubAddress } from "./hub_address.ts";
import { openHubFolder } from "./hub_folder.ts";
import { openTensors } from "./tensor_source.ts";
import { readTexts } from "./texts.ts";

/**
 * Opens a checkpoint, or the folder that `openFolder` opened: headers and texts are read and checked, weights are not. The
 * caller closes `weights`.
 *
 * @param accept called with config.json before anything large is read; throws where it is not worth reading
 */
export async function openCheckpoint(
  at: string | Folder,
  accept: (config: Record<string, unknown>) => void = () => {},
): Promise<Checkpoint> {
  const folder = typeof at === "string" ? await openFolder(at) : at;
  try {
    const texts = await readTexts(folder, accept);
    return { texts, weights: await openTensors(folder), card: folder.card };
  } catch (error) {
    folder.close();
    throw error;
  }
}

/**
 * A Hugging Face folder: a path, a file: URL, an http(s) base URL, s3://bucket/prefix, or hf://ORG/NAME[@REVISION]. Of the
 * last the hub is asked for its commit and files; of the others nothing is read.
 */
export async function openFolder(address: string, options: FolderOptions = {}): Promise<Folder> {
  if (isHubAddress(address)) return await openHubFolder(address, options);
  if (/^s3:/i.test(address)) {
    const { base, http } = s3Place(address);
    return new HttpFolder(base, http);
  }
  if (/^https?:/i.test(address)) return new HttpFolder(new URL(address));
  const path = /^file:/i.test(address) ? filePath(address) : address;
  await refuseFile(path);
  return new DiskFolder(path.replace(/(?<=.)\/+$/, ""));
}

/** What is not there at all is said by the first file that is missing. */
async function refuseFile(path: string): Promise<void> {
  if (!await Deno.stat(path).then((s) => s.isFile, () => false)) return;
  throw new MoqeError("bad_input", {
    action: `open the checkpoint ${path}`,
    rule: "it is a file, and must be a folder with config.json, tokenizer.json and the weights",
    remedy: "give the folder that the file is in",
  });
}
