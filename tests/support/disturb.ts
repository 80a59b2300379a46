/** What a device really refuses, done to it on purpose: its own errors, in the scopes of whoever uses it. */

/** A texture of 128 GiB: within the limits of textures, and more than any driver has. */
const TEXTURE: GPUTextureDescriptor = {
  size: [2048, 2048, 2048],
  dimension: "3d",
  format: "rgba32float",
  usage: GPUTextureUsage.COPY_DST,
};

export const DISTURBANCES = {
  /** An allocation that the driver refuses: GPUOutOfMemoryError. */
  memory: (device: GPUDevice) => void device.createTexture(TEXTURE),
  /** A buffer beyond every limit: GPUValidationError. */
  validation: (device: GPUDevice) =>
    void device.createBuffer({ size: 2 ** 45, usage: GPUBufferUsage.STORAGE }),
  /** The device is gone. */
  loss: (device: GPUDevice) => device.destroy(),
};
export type Disturbance = keyof typeof DISTURBANCES;

/** What is told of each. */
export const TOLD: Record<Disturbance, RegExp> = {
  memory: /its memory is exhausted \(got .+\); lower --gpu-memory/,
  validation: /the driver refused a command \(got .+\); the model must be loaded anew/,
  loss: /the device was lost \(got .+\)/,
};
