/** The operations of a backend as methods, each made of a function of what the backend works with and its operands. */
import type { OperationMap, Operations } from "./operations.ts";

/** One function an operation. */
export type OperationFunctions<Run> = {
  readonly [Name in keyof OperationMap]: (run: Run, op: OperationMap[Name]) => void;
};

/** Methods that call `functions` with what `begin` answers; `begin` counts an operation, or throws. */
export function operationMethods<Run>(
  functions: OperationFunctions<Run>,
  begin: () => Run,
): Operations {
  const names = Object.keys(functions) as (keyof OperationMap)[];
  const method = <Name extends keyof OperationMap>(name: Name) => {
    const run = functions[name];
    return (op: OperationMap[Name]) => run(begin(), op);
  };
  return Object.fromEntries(names.map((name) => [name, method(name)])) as Operations;
}
