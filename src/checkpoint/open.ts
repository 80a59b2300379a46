/** Opens a checkpoint by its address. */
import type { Checkpoint, Folder } from "./contract.ts";
import { DiskFolder } from "./disk_folder.ts";
import { filePath } from "../store/open.ts";
import { HttpFolder } from "./http_folder.ts";
import { openTensors } from "./tensor_source.ts";
import { readTexts } from "./texts.ts";

/**
 * Opens a Hugging Face folder: a path, a file: URL, or an http(s) base URL. Headers and texts are read and
 * checked; weights are not. The caller closes `weights`.
 */
export async function openCheckpoint(address: string): Promise<Checkpoint> {
  const folder = openFolder(address);
  try {
    return { texts: await readTexts(folder), weights: await openTensors(folder) };
  } catch (error) {
    folder.close();
    throw error;
  }
}

function openFolder(address: string): Folder {
  if (/^https?:/i.test(address)) return new HttpFolder(new URL(address));
  const path = /^file:/i.test(address) ? filePath(address) : address;
  return new DiskFolder(path.replace(/(?<=.)\/+$/, ""));
}
