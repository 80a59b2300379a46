/** Tables as commands print them: plain text, columns aligned. */
import type { ModelPlan } from "../base/plan.ts";
import { formatBytes } from "../base/units.ts";
import type { LeftOut } from "../checkpoint/check.ts";
import type { PartSize } from "../pack/sizes.ts";
import type { BlockRef, Manifest } from "../store/manifest.ts";

const SIZE_HEAD = ["part", "weights", "fp16", "packed", "saved"];

/** Rows with a head; the first column is left-aligned, the others right-aligned. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ");
  return all.map((row) => line(row).trimEnd()).join("\n");
}

/** Sizes by part against fp16, as the packer counts them. */
export function sizeTable(sizes: readonly PartSize[]): string {
  const shown = sizes.filter((s) => s.packedBytes > 0 || s.weights > 0);
  return table(SIZE_HEAD, shown.map((s) => sizeRow(s.part, s.weights, s.packedBytes)));
}

/** What a checkpoint holds and a packed model does not: "left out: 12 tensors of mtp.* (multi-token prediction head)". */
export function leftOutLines(left: readonly LeftOut[]): string[] {
  return left.map(({ prefix, reason, tensors }) =>
    `left out: ${tensors} ${tensors === 1 ? "tensor" : "tensors"} of ${prefix}* (${reason})`
  );
}

/** Sizes of a model that is packed, from its manifest: what is stored once counts once. */
export function manifestTable(manifest: Manifest, plan: ModelPlan, manifestBytes: number): string {
  const weightsOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const trunk = plan.tensors.reduce((sum, t) => sum + weightsOf(t.shape), 0);
  const experts = plan.expertLayers.reduce((sum, l) => {
    const one = l.projections.reduce((n, p) => n + p.rows * (p.cols + (p.bias ? 1 : 0)), 0);
    return sum + l.count * one;
  }, 0);
  const stored = manifest.objects.reduce((sum, o) => sum + o.bytes, 0);
  const rows = [
    sizeRow(
      "experts",
      experts,
      bytesOf(manifest.expertLayers.flatMap((l) => l.experts.map((e) => e.block))),
    ),
    sizeRow("trunk", trunk, bytesOf(manifest.trunk.flatMap((t) => t.blocks))),
    ["tokenizer", "", "", formatBytes(manifest.tokenizer.block.length), ""],
    ["manifest", "", "", formatBytes(manifestBytes), ""],
    sizeRow("total", trunk + experts, stored + manifestBytes),
  ];
  return table(SIZE_HEAD, rows);
}

/** Bytes of distinct blocks. */
function bytesOf(blocks: readonly BlockRef[]): number {
  const distinct = new Map(blocks.map((b) => [`${b.object}:${b.offset}`, b.length]));
  return [...distinct.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function sizeRow(part: string, weights: number, packedBytes: number): string[] {
  const saved = weights === 0 ? 0 : 1 - packedBytes / (2 * weights);
  return [
    part,
    weights.toLocaleString("en"),
    formatBytes(2 * weights),
    formatBytes(packedBytes),
    `${(100 * saved).toFixed(1)} %`,
  ];
}
