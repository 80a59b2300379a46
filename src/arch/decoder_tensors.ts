/** Tensors of a decoder-only transformer's layers, as checkpoints name them. */
import type { TensorSpec } from "../base/plan.ts";
import {
  type DecoderConfig,
  type DecoderLayout,
  headsOf,
  type SparseLayout,
} from "./decoder_layout.ts";
import { matrix, vector } from "./tensors.ts";

/** Trunk tensors of layer `i`; `sparse` where it has experts. */
export function layerTensors(
  c: DecoderConfig,
  layout: DecoderLayout,
  i: number,
  sparse: SparseLayout | undefined,
): TensorSpec[] {
  const base = `layers.${i}`, d = c.hidden_size, { heads, kvHeads, headDim } = headsOf(c);
  const rows = { q: heads * headDim, k: kvHeads * headDim, v: kvHeads * headDim };
  const projection = (name: string, n: number, k: number): TensorSpec[] => [
    matrix(`${base}.self_attn.${name}_proj.weight`, n, k),
    ...c.attention_bias ? [vector(`${base}.self_attn.${name}_proj.bias`, n)] : [],
  ];
  const normed = layout.qkNorm === undefined ? [] : (["q", "k"] as const).map((name) =>
    vector(
      `${base}.self_attn.${name}_norm.weight`,
      layout.qkNorm === "head" ? headDim : rows[name],
    )
  );
  return [
    vector(`${base}.input_layernorm.weight`, d),
    ...(["q", "k", "v"] as const).flatMap((name) => projection(name, rows[name], d)),
    ...projection("o", d, rows.q),
    ...normed,
    ...layout.hasSinks ? [vector(`${base}.self_attn.sinks`, heads)] : [],
    vector(`${base}.post_attention_layernorm.weight`, d),
    ...sparse === undefined ? denseTensors(c, `${base}.mlp`) : routerTensors(sparse, d),
  ];
}

/** gate and up become one matrix, since both multiply the same input. */
function denseTensors(c: DecoderConfig, base: string): TensorSpec[] {
  const width = c.intermediate_size, d = c.hidden_size;
  const parts = ["gate_proj", "up_proj"].map((name) => ({
    tensor: `${base}.${name}.weight`,
    shape: [width, d],
  }));
  return [
    { ...matrix(`${base}.gate_up_proj.weight`, 2 * width, d), parts },
    matrix(`${base}.down_proj.weight`, d, width),
  ];
}

function routerTensors({ router, experts }: SparseLayout, d: number): TensorSpec[] {
  return [
    matrix(router.weight, experts, d, "exact"),
    ...router.bias === undefined ? [] : [vector(router.bias, experts)],
  ];
}

/** An expert's three matrices as tensors of their own: gate and up, then down. */
export function separateExperts(
  base: (expert: number) => string,
  names: { gate: string; up: string; down: string },
  { width, d }: { width: number; d: number },
): SparseLayout["parts"] {
  return (expert, projection) =>
    projection === "down"
      ? [{ tensor: `${base(expert)}.${names.down}.weight`, shape: [d, width] }]
      : [names.gate, names.up].map((name) => ({
        tensor: `${base(expert)}.${name}.weight`,
        shape: [width, d],
      }));
}
