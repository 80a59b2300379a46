/** Writes small safetensors files, right ones and wrong ones. */

export interface TestTensor {
  dtype: string;
  shape: number[];
  data: Uint8Array<ArrayBuffer>;
}

export function f32Tensor(shape: number[], values: ArrayLike<number>): TestTensor {
  return { dtype: "F32", shape, data: new Uint8Array(Float32Array.from(values).buffer) };
}

/** Any header text with any data behind it; `length` lies about the header's length. */
export function rawSafetensors(
  header: string,
  data: Uint8Array = new Uint8Array(0),
  length?: bigint,
): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const out = new Uint8Array(8 + text.length + data.length);
  new DataView(out.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  out.set(text, 8);
  out.set(data, 8 + text.length);
  return out;
}

/** A proper file, tensors in the order given. */
export function safetensors(tensors: Record<string, TestTensor>): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let at = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + data.length] };
    at += data.length;
  }
  const data = new Uint8Array(at);
  at = 0;
  for (const t of Object.values(tensors)) {
    data.set(t.data, at);
    at += t.data.length;
  }
  return rawSafetensors(JSON.stringify(header), data);
}

/** Writes files into a new temporary folder; `using` removes it. */
export function temporaryFolder(
  files: Record<string, Uint8Array | string> = {},
): { path: string; [Symbol.dispose](): void } {
  const path = Deno.makeTempDirSync();
  for (const [name, content] of Object.entries(files)) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    Deno.writeFileSync(`${path}/${name}`, bytes);
  }
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}
