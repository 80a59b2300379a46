/** How a device budget is divided, and the least that would do: known before a byte is read. */
import { MoqeError } from "../base/errors.ts";
import { type KvBits, PAGE_TOKENS, type ScratchShape } from "../backend/contract.ts";
import type { ModelPlan } from "../base/plan.ts";
import { formatBytes } from "../base/units.ts";
import { placeTableBytes } from "../experts/places.ts";
import { slotGeometry } from "../experts/geometry.ts";
import { pageBytes, widestPageBytes } from "../nn/kv.ts";
import { tableBytes } from "../nn/model.ts";
import { attentionsOf, layersOf, type ModelSpec } from "../nn/spec.ts";
import { trunkBytes } from "../nn/trunk.ts";
import { widestRowBytes, workspaceBytes } from "../nn/workspace.ts";
import type { Manifest } from "../store/manifest.ts";
import { pagesNeeded } from "./sequence.ts";
import { sharing } from "./shares.ts";

/** Beams and tokens that any budget must leave room for: one sentence of the longest kind. */
export const MAX_BEAMS = 8;
export const MAX_TARGET_TOKENS = 256;
export const DEFAULT_CONTEXT = 4096;
/** Candidates a row that the widest beam asks of the vocabulary. */
export const MAX_CANDIDATES = 2 * MAX_BEAMS;
/** K/V takes this share of what trunk and activations leave, but no more than KV_SENTENCES need. */
const KV_SHARE = 0.25;
const KV_SENTENCES = 64;
const KV_BEAMS = 4;
/** Of a model without an encoder: the shortest context that any budget has room for, and how many of the longest K/V takes at most. */
const LEAST_CONTEXT = 512;
const KV_CONTEXTS = 8;

export interface BudgetRequest {
  gpuBytes: number;
  maxBatchTokens: number;
  maxSourceTokens: number;
  /** Longest sequence of a model without an encoder, prompt and answer together; DEFAULT_CONTEXT unless given. */
  maxContextTokens?: number | undefined;
  /** Of an element of K/V. */
  kvBits: KvBits;
  /** Scratch of the backend at these sizes, on top of the workspace. */
  scratchBytes: number;
  /** The largest range that a kernel of the backend sees, which a layer's K/V must fit in; none unless given. */
  bindingBytes?: number | undefined;
  /** Models that have as much each, of the budget that a refusal names; 1 unless given. */
  models?: number | undefined;
}

export interface BudgetPlan {
  /** Rows of the largest pass. */
  maxRows: number;
  trunkBytes: number;
  activationBytes: number;
  pages: number;
  kvBytes: number;
  slots: number;
  slotBytes: number;
  arenaBytes: number;
  experts: number;
  /** Slots in which all experts lie at once; there are never more. */
  slotsForAll: number;
  /** The least --gpu-memory that would do for these limits. */
  leastBytes: number;
  /** --gpu-memory from which every expert is resident. */
  allResidentBytes: number;
}

/** Divides a budget, or throws MoqeError `over_budget` with the least that would do. */
export function divideBudget(
  manifest: Manifest,
  plan: ModelPlan,
  spec: ModelSpec,
  ask: BudgetRequest,
): BudgetPlan {
  const topK = expertsPerToken(spec);
  const trunk = trunkBytes(manifest) + tableBytes(spec);
  const maxRows = passRows(spec, ask);
  const workspace = {
    maxRows,
    topK: Math.max(topK, 1),
    maxCandidates: MAX_CANDIDATES,
    tablePages: tablePages(spec, ask),
  };
  refuseBeyondBinding(ask, maxRows, widestRowBytes(spec, workspace));
  const activations = workspaceBytes(spec, workspace) + ask.scratchBytes +
    placeTableBytes(plan.expertLayers.map((l) => l.count));
  const page = pageBytes(spec, ask.kvBits);
  const { leastPages, enoughPages } = kvPages(spec, ask);
  const experts = plan.expertLayers.reduce((n, l) => n + l.count, 0);
  const { slotBytes: slot, slotsForAll } = slotGeometry(manifest);
  const fixed = trunk + activations;
  const leastBytes = fixed + leastPages * page + topK * slot;
  const rest = ask.gpuBytes - fixed;
  if (ask.gpuBytes < leastBytes) {
    const { models = 1 } = ask, leastMiB = Math.ceil(models * leastBytes / 2 ** 20);
    throw new MoqeError("over_budget", {
      action: `run ${manifest.name} with --gpu-memory ${formatBytes(models * ask.gpuBytes)}`,
      rule:
        `${sharing(models)}the trunk takes ${formatBytes(trunk)}, activations ${
          formatBytes(activations)
        }, K/V of one sentence ` +
        `${formatBytes(leastPages * page)} and ${topK} expert slots ${formatBytes(topK * slot)}`,
      remedy: `give it --gpu-memory ${leastMiB}MiB or more, or lower ${rowsFlag(ask, maxRows)}`,
      leastMiB,
    });
  }
  const wanted = Math.max(leastPages, Math.min(enoughPages, Math.floor(rest * KV_SHARE / page)));
  const most = mostPages(spec, ask, leastPages);
  const pages = Math.min(wanted, most, Math.floor((rest - topK * slot) / page));
  const slots = slot === 0 ? 0 : Math.min(slotsForAll, Math.floor((rest - pages * page) / slot));
  return {
    maxRows,
    trunkBytes: trunk,
    activationBytes: activations,
    pages,
    kvBytes: pages * page,
    slots,
    slotBytes: slot,
    arenaBytes: slots * slot,
    experts,
    slotsForAll,
    leastBytes,
    allResidentBytes: fixed +
      allResident({
        leastKv: leastPages * page,
        enoughKv: enoughPages * page,
        arena: slotsForAll * slot,
      }),
  };
}

/**
 * Rows of the largest pass: what is asked for, but no fewer than one sentence needs. An encoder reads a source whole, a
 * step has all beams of a sentence, so that a small --max-batch-tokens changes no answer.
 */
export function passRows(
  spec: Pick<ModelSpec, "encoder" | "embedding">,
  ask: Pick<BudgetRequest, "maxBatchTokens" | "maxSourceTokens">,
): number {
  const source = spec.encoder === undefined ? 0 : sourceTokens(spec, ask);
  return Math.max(ask.maxBatchTokens, MAX_BEAMS, source);
}

/** Longest source that an encoder reads. */
export function sourceTokens(
  { embedding }: Pick<ModelSpec, "embedding">,
  ask: Pick<BudgetRequest, "maxSourceTokens">,
): number {
  return Math.min(ask.maxSourceTokens, embedding.maxPositions);
}

/** The flag that lowers the rows of a pass. */
function rowsFlag(ask: BudgetRequest, maxRows: number): string {
  return ask.maxBatchTokens < maxRows ? "--max-source-tokens" : "--max-batch-tokens";
}

/** Longest sequence of a model without an encoder. */
export function contextTokens(
  spec: ModelSpec,
  ask: Pick<BudgetRequest, "maxContextTokens">,
): number {
  return Math.min(ask.maxContextTokens ?? DEFAULT_CONTEXT, spec.embedding.maxPositions);
}

/** Pages that any budget must leave room for, and those beyond which more would stay unused. */
function kvPages(spec: ModelSpec, ask: BudgetRequest) {
  if (spec.encoder === undefined) {
    const longest = contextTokens(spec, ask), least = Math.min(LEAST_CONTEXT, longest);
    const [leastPages, pages] = [least, longest].map((n) => Math.ceil(n / PAGE_TOKENS));
    return { leastPages: leastPages!, enoughPages: KV_CONTEXTS * pages! };
  }
  const beams = KV_BEAMS, maxTokens = Math.min(MAX_TARGET_TOKENS, spec.embedding.maxPositions);
  return {
    leastPages: pagesNeeded({ source: sourceTokens(spec, ask), given: 1, beams, maxTokens }),
    enoughPages: KV_SENTENCES * pagesNeeded({ source: 64, given: 1, beams, maxTokens: 64 }),
  };
}

/** Throws `unsupported` where a tensor of the largest pass would be more than a kernel sees. */
function refuseBeyondBinding(ask: BudgetRequest, maxRows: number, rowBytes: number): void {
  const { bindingBytes = Infinity } = ask;
  const most = Math.floor(bindingBytes / rowBytes);
  if (maxRows <= most) return;
  throw new MoqeError("unsupported", {
    action: `run ${maxRows} tokens in one pass`,
    rule: `a kernel of this device sees at most ${formatBytes(bindingBytes)} of a tensor`,
    observed: formatBytes(maxRows * rowBytes),
    remedy: `say ${rowsFlag(ask, maxRows)} ${most} or less`,
  });
}

/** Pages of K/V whose part of one layer a kernel can see. */
function mostPages(spec: ModelSpec, ask: BudgetRequest, least: number): number {
  const { bindingBytes } = ask;
  if (bindingBytes === undefined) return Infinity;
  const page = widestPageBytes(spec, ask.kvBits), most = Math.floor(bindingBytes / page);
  if (most >= least) return most;
  throw new MoqeError("unsupported", {
    action: "keep K/V of one sentence in a layer's buffer",
    rule: `a kernel of this device sees at most ${formatBytes(bindingBytes)} of one`,
    observed: formatBytes(least * page),
    remedy: "lower --max-source-tokens, or say --device cpu",
  });
}

/** The least that trunk and activations must leave so that K/V takes its part and every expert still fits. */
function allResident(of: { leastKv: number; enoughKv: number; arena: number }): number {
  const shared = Math.min(of.arena / (1 - KV_SHARE), of.arena + of.enoughKv);
  return Math.ceil(Math.max(of.arena + of.leastKv, shared));
}

/** Most pages that a decoder row's two tables name. */
export function tablePages(
  spec: ModelSpec,
  ask: Pick<BudgetRequest, "maxSourceTokens" | "maxContextTokens">,
): number {
  if (spec.encoder === undefined) return Math.ceil(contextTokens(spec, ask) / PAGE_TOKENS);
  const maxTokens = Math.min(MAX_TARGET_TOKENS, spec.embedding.maxPositions);
  return pagesNeeded({ source: sourceTokens(spec, ask), given: 1, beams: 1, maxTokens });
}

/** Experts a token is routed to, 0 for a dense model. */
export function expertsPerToken(spec: ModelSpec): number {
  return Math.max(
    0,
    ...layersOf(spec).map((l) => l.feedForward.kind === "sparse" ? l.feedForward.topK : 0),
  );
}

/** The largest call that the engine will make of a backend. */
export function scratchShape(plan: ModelPlan, spec: ModelSpec, maxRows: number): ScratchShape {
  const hidden = plan.expertLayers.flatMap((l) => l.projections.map((p) => p.rows));
  return {
    maxRows,
    maxCols: Math.max(
      spec.dModel,
      spec.maxHidden,
      ...attentionsOf(spec).map((a) => a.heads * a.headDim),
    ),
    maxHidden: Math.max(spec.maxHidden, ...hidden),
    topK: Math.max(1, expertsPerToken(spec)),
    maxCandidates: MAX_CANDIDATES,
  };
}
