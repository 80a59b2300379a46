/** Opens a checkpoint by its address. */
import type { Checkpoint, Folder } from "./contract.ts";
import { DiskFolder } from "./disk_folder.ts";
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
  if (address.startsWith("file:")) {
    return new DiskFolder(decodeURIComponent(new URL(address).pathname));
  }
  return new DiskFolder(address.replace(/(?<=.)\/+$/, ""));
}
