import { assertEquals, assertThrows } from "@std/assert";
import {
  alignUp,
  formatBytes,
  formatSeconds,
  parseBytes,
  parseDurationMs,
} from "../../src/base/units.ts";

Deno.test("parseBytes reads binary and decimal units and refuses the rest", () => {
  assertEquals(parseBytes("3GiB"), 3 * 2 ** 30);
  assertEquals(parseBytes(" 1.5 mb "), 1_500_000);
  assertEquals(parseBytes("4096"), 4096);
  for (const bad of ["", "x", "3 parsecs", "-1GiB", "GiB"]) {
    assertThrows(() => parseBytes(bad), RangeError, "512MiB");
  }
});

Deno.test("parseDurationMs reads the four units and refuses a bare number", () => {
  assertEquals(parseDurationMs("1.5s"), 1500);
  assertEquals(parseDurationMs("2m"), 120_000);
  assertThrows(() => parseDurationMs("10"), RangeError, "30s");
  assertThrows(() => parseDurationMs("597h"), RangeError, "596h at most");
});

Deno.test("sizes and times read well", () => {
  assertEquals(formatBytes(9457664), "9.02 MiB");
  assertEquals(formatBytes(12), "12 B");
  assertEquals(formatSeconds(65), "1m 05s");
  assertEquals(alignUp(257, 256), 512);
  assertEquals(alignUp(0, 256), 0);
});
