/** The GPU that the tests of a file share: its pipelines are compiled once. */
import { openDevice, type OpenedDevice } from "../../src/backend/webgpu/adapter.ts";

let shared: Promise<OpenedDevice> | undefined;

/** Whatever adapter there is, software ones included. Throws where there is none: a test that may meet that says needs("vulkan"). */
export function sharedDevice(): Promise<OpenedDevice> {
  return shared ??= openDevice();
}
