/**
 * The assertions that tests use, from std. Its npm build carries no types: assert.d.ts has those that are used.
 * Where JSR is reached, point "@std/assert" in deno.json at jsr:@std/assert@1 and drop both files.
 */
// @ts-self-types="./assert.d.ts"
export * from "npm:deno-std@1.4.0/assert/mod.js";
