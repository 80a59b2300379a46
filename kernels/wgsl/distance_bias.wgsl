// What a score gains by distance and head, gathered once for the rows of an attention: out[i, head] is the table's
// entry for distance i - reach. Dispatch: [ceil(distances * heads / 64)].

struct Params {
  distances: u32, // 2 * reach + 1
  heads: u32,
  buckets: u32,   // where the buckets begin
  table: u32,
  stride: u32,    // floats a row of the table
  rows: u32,      // of the table
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> buckets: array<i32>;   // [distances]
@group(0) @binding(2) var<storage, read> table: array<f32>;     // [rows, stride]
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [distances, heads]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= p.distances * p.heads) { return; }
  let bucket = min(u32(buckets[p.buckets + id.x / p.heads]), p.rows - 1u);
  out[id.x] = table[p.table + bucket * p.stride + id.x % p.heads];
}
