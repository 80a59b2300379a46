/** The operations of a backend as methods: each a function of what the backend works with, and its operands. */
import type {
  CombineOp,
  EmbedOp,
  ExpertsOp,
  LayerNormOp,
  LinearOp,
  PagedAttentionOp,
  PlacedExpertsOp,
  RmsNormOp,
  RouterOp,
  SegmentAttentionOp,
  StoreKvOp,
  VocabTopKOp,
} from "./operations.ts";

type Operation<Run, Op> = (run: Run, op: Op) => void;

/** One function an operation. */
export interface OperationFunctions<Run> {
  readonly embed: Operation<Run, EmbedOp>;
  readonly layerNorm: Operation<Run, LayerNormOp>;
  readonly rmsNorm: Operation<Run, RmsNormOp>;
  readonly linear: Operation<Run, LinearOp>;
  readonly segmentAttention: Operation<Run, SegmentAttentionOp>;
  readonly pagedAttention: Operation<Run, PagedAttentionOp>;
  readonly storeKv: Operation<Run, StoreKvOp>;
  readonly router: Operation<Run, RouterOp>;
  readonly experts: Operation<Run, ExpertsOp>;
  readonly placedExperts: Operation<Run, PlacedExpertsOp>;
  readonly combine: Operation<Run, CombineOp>;
  readonly vocabTopK: Operation<Run, VocabTopKOp>;
}

/** The half of a backend that runs operations; `begin` counts one and answers what it works with, or throws. */
export abstract class Operations<Run> {
  constructor(private readonly functions: OperationFunctions<Run>) {}

  protected abstract begin(): Run;

  embed(op: EmbedOp): void {
    this.functions.embed(this.begin(), op);
  }
  layerNorm(op: LayerNormOp): void {
    this.functions.layerNorm(this.begin(), op);
  }
  rmsNorm(op: RmsNormOp): void {
    this.functions.rmsNorm(this.begin(), op);
  }
  linear(op: LinearOp): void {
    this.functions.linear(this.begin(), op);
  }
  segmentAttention(op: SegmentAttentionOp): void {
    this.functions.segmentAttention(this.begin(), op);
  }
  pagedAttention(op: PagedAttentionOp): void {
    this.functions.pagedAttention(this.begin(), op);
  }
  storeKv(op: StoreKvOp): void {
    this.functions.storeKv(this.begin(), op);
  }
  router(op: RouterOp): void {
    this.functions.router(this.begin(), op);
  }
  experts(op: ExpertsOp): void {
    this.functions.experts(this.begin(), op);
  }
  placedExperts(op: PlacedExpertsOp): void {
    this.functions.placedExperts(this.begin(), op);
  }
  combine(op: CombineOp): void {
    this.functions.combine(this.begin(), op);
  }
  vocabTopK(op: VocabTopKOp): void {
    this.functions.vocabTopK(this.begin(), op);
  }
}
