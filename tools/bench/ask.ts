/** What a measuring process is asked and answers, and the word that makes this program one. */
import type { EngineOptions } from "../../src/engine/protocol.ts";

/** The only word of a process that measures. */
export const BENCH_CHILD = "--bench-child";

/** What the parent asks for, as JSON on standard input. */
export interface BenchAsk {
  engine: EngineOptions;
  /** Sentences translated together; 1 means one after the other. */
  batch: number;
  beams: number;
  /** Rounds over the sentences; the first warms up and is not counted. */
  rounds: number;
}

/** What a child found. Tokens are target tokens of the best hypotheses. */
export interface BenchFigure {
  tokens: number;
  seconds: number;
  /** Median over sentences of the time to the first target token, alone, warm. */
  firstTokenMs: number;
  coldFirstTokenMs: number;
  loadSeconds: number;
  peakRssBytes: number;
  gpuUsedBytes: number;
  hostUsedBytes: number;
  slots: number;
  experts: number;
  hitRate: number;
}
