// What kernels/cpu.wasm exports. One import: env.memory, of which the first 64 KiB are the module's own.
export { combine, choose } from "./router";
export { embed } from "./embed";
export { gemm } from "./gemm";
export { gemv16, gemv32 } from "./gemv16_32";
export { gemv2 } from "./gemv2";
export { gemv3 } from "./gemv3";
export { gemv4, gemv8 } from "./gemv4_8";
export { gemvTile } from "./gemv_tile";
export { gemvTrellis } from "./gemv_trellis";
export { layerNorm, rmsNorm } from "./norm";
export { pagedAttention, segmentAttention, storeKv } from "./attention";
export { rotate } from "./rotate";
export { stage } from "./stage";
export { vocabBegin, vocabEnd, vocabTile } from "./vocab";
export { viterbi } from "./viterbi";
