/**
 * How products are cut for workgroups. `deno task bench --only tiles` measures candidates on the adapter that there is and
 * prints the constants that are fastest on it. A row's bits depend on `mostLanes` alone.
 */

/** A tile of a product of many rows. */
export interface GemmTile {
  /** Threads of a workgroup, and those of them along rows of activations. */
  readonly threads: number;
  readonly ty: number;
  /** Vectors of K that are brought to workgroup memory at once. */
  readonly step: number;
}

export interface Tiles {
  /** Threads of a workgroup of a product of one row, and the most of them along K. */
  readonly gemvThreads: number;
  readonly mostLanes: number;
  /** Up to this many rows each has workgroups of its own; more share decoded tiles of the matrix. */
  readonly gemvRows: number;
  /** Up to 16 rows, and more. */
  readonly few: GemmTile;
  readonly many: GemmTile;
  /** Pairs of experts; `ty` is 4, since they are sorted in tiles of 16. */
  readonly experts: GemmTile;
}

/** What is used: chosen for GPUs by what others use there, measured on none so far. */
export const TILES: Tiles = {
  gemvThreads: 64,
  mostLanes: 32,
  gemvRows: 4,
  few: { threads: 64, ty: 4, step: 8 },
  many: { threads: 64, ty: 8, step: 8 },
  experts: { threads: 64, ty: 4, step: 8 },
};

/** Bytes of workgroup memory that every device has. */
const WORKGROUP_BYTES = 16384;

/** Rows of activations and of the matrix in a tile. */
export function tileSize({ threads, ty }: GemmTile): { m: number; n: number } {
  return { m: 4 * ty, n: 4 * threads / ty };
}

/** Whether a tile fits in the workgroup memory that every device has. */
export function tileFits(tile: GemmTile): boolean {
  const { m, n } = tileSize(tile);
  return tile.step * (m + n) * 16 + m * 4 <= WORKGROUP_BYTES;
}

/** Threads along K where a row has so many units: few for short rows, so that none is idle. */
export function lanesOf(units: number, { mostLanes }: Tiles): number {
  let lanes = 8;
  while (lanes < mostLanes && lanes < units) lanes *= 2;
  return lanes;
}

const THREADS = [64, 128, 256];
const tilesOf = (tys: readonly number[]): GemmTile[] =>
  THREADS.flatMap((threads) =>
    tys.flatMap((ty) => [4, 8].map((step): GemmTile => ({ threads, ty, step })))
  ).filter(tileFits);

/** What may be fastest on a GPU. */
export const CANDIDATES = {
  gemv: THREADS.flatMap((gemvThreads) =>
    [8, 16, 32, 64].map((mostLanes) => ({ gemvThreads, mostLanes }))
  ),
  gemvRows: [1, 2, 4, 8, 16],
  gemm: tilesOf([4, 8, 16]),
  experts: tilesOf([4]),
} as const;
