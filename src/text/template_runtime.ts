/**
 * Runs a parsed chat template. A packed template is not trusted: whatever it does, it ends within a bound of work and
 * memory, and it reaches nothing but its variables.
 *
 * @huggingface/jinja 0.5.13 has no loop without a list, no clock and no limit. Every expression goes through `evaluate`
 * and every turn of a loop through `renderBlock`: both are counted here. What makes much of little (`join`, `replace`,
 * `indent`, `tojson`, a list that contains another twice) is measured before it is made. What differs from Python's
 * jinja2 and is mended here: `strip` and relatives ignore their characters, `==` is JavaScript's, and true, false and
 * none are not written True, False and None. A list or object is written as JSON, not as Python writes it.
 */
import { Environment, Interpreter } from "@huggingface/jinja";
import {
  equals,
  occurrences,
  pythonText,
  Sizes,
  strip,
  TemplateBound,
  type TemplateValue,
} from "./template_values.ts";

/** A node of the package's syntax tree. */
interface Node {
  readonly type: string;
  // deno-lint-ignore no-explicit-any
  readonly [field: string]: any;
}
type Arguments = [TemplateValue[], Map<string, TemplateValue>];

/** What the package's interpreter calls on itself: declared private there, and overridden here. */
interface Runtime {
  run(program: unknown): TemplateValue;
  evaluate(node: Node | undefined, scope: Environment): TemplateValue;
  evaluateArguments(nodes: Node[], scope: Environment): Arguments;
  evaluateBinaryExpression(node: Node, scope: Environment): TemplateValue;
  evaluateCallExpression(node: Node, scope: Environment): TemplateValue;
  evaluateMemberExpression(node: Node, scope: Environment): TemplateValue;
  applyFilter(operand: TemplateValue, filter: Node, scope: Environment): TemplateValue;
  renderBlock(nodes: Node[], scope: Environment): string;
}

const Base = Interpreter as unknown as new (globals: Environment) => Runtime;

/** What a run may use. */
export interface TemplateLimits {
  /** UTF-16 units of a text or value. */
  readonly chars: number;
  /** UTF-16 units of all texts that are made on the way, LISTED_CHARS for each value of a list. */
  readonly made: number;
  /** Expressions, turns of loops, and their texts' characters by 16. */
  readonly work: number;
}

/** Units that a value of a made list counts as: it is an object, and may get a table of methods. */
const LISTED_CHARS = 128;
const MAKERS = new Set([
  "BinaryExpression",
  "FilterExpression",
  "CallExpression",
  "MemberExpression",
]);
const LITERALS = new Set(["ArrayLiteral", "TupleLiteral", "ObjectLiteral"]);
/** Nodes of a block that are no `{{ expression }}`. */
const STATEMENTS = new Set([
  ..."StringLiteral If For Set Comment Macro CallStatement FilterStatement Break Continue".split(
    " ",
  ),
]);
const STRIPS = new Set(["strip", "lstrip", "rstrip"]);
const GROWING = new Set(["join", "replace", "indent", "tojson"]);

/** An interpreter that is good for one run. */
export class BoundedRuntime extends Base {
  readonly #sizes: Sizes;
  readonly #blocks = new WeakMap<Node[], Node[]>();
  #made = 0;
  #work = 0;

  constructor(scope: Environment, private readonly limits: TemplateLimits) {
    super(scope);
    this.#sizes = new Sizes(limits.chars);
  }

  override evaluate(node: Node | undefined, scope: Environment): TemplateValue {
    if (node?.type === "Given") return node["value"];
    if (node?.type === "Output") return this.#written(this.evaluate(node["expression"], scope));
    this.#spend(1);
    const value = super.evaluate(node, scope);
    const { length } = isText(value) || Array.isArray(value.value) ? value.value as string : "";
    this.#spend(length >> 4);
    if (isText(value)) this.#check(length);
    // The variable `loop` is an object of the package's own, made anew each turn.
    else if (!("previtem" in value)) this.#sizes.of(value);
    if (node && MAKERS.has(node.type)) this.#make(isText(value) ? length : 0);
    if (node && (LITERALS.has(node.type) || MAKERS.has(node.type)) && !isText(value)) {
      this.#make(length * LISTED_CHARS);
    }
    return value;
  }

  override renderBlock(nodes: Node[], scope: Environment): string {
    this.#spend(1 + nodes.length);
    const text = super.renderBlock(this.#withOutputs(nodes), scope);
    this.#check(text.length);
    return text;
  }

  override evaluateBinaryExpression(node: Node, scope: Environment): TemplateValue {
    const operator = node["operator"].value;
    if (!["==", "!=", "~"].includes(operator)) return super.evaluateBinaryExpression(node, scope);
    const left = this.evaluate(node["left"], scope), right = this.evaluate(node["right"], scope);
    if (operator === "~") {
      const [one, other] = [given(this.#written(left)), given(this.#written(right))];
      return super.evaluateBinaryExpression({ ...node, left: one, right: other }, scope);
    }
    this.#spend(this.#sizes.of(left).values);
    return wrap(equals(left, right) === (operator === "=="));
  }

  override evaluateMemberExpression(node: Node, scope: Environment): TemplateValue {
    const object = this.evaluate(node["object"], scope);
    const value = super.evaluateMemberExpression({ ...node, object: given(object) }, scope);
    delete object._builtins;
    return value;
  }

  override evaluateCallExpression(node: Node, scope: Environment): TemplateValue {
    const callee = node["callee"] as Node;
    if (callee.type !== "MemberExpression" || callee["computed"]) {
      const isMissing = this.evaluate(callee, scope).type === "UndefinedValue";
      if (isMissing) throw new Error(`it calls ${callee["value"]}, which there is not`);
      return super.evaluateCallExpression(node, scope);
    }
    const object = this.evaluate(callee["object"], scope);
    const args = this.evaluateArguments(node["args"], scope);
    const name = String(callee["property"].value);
    if (isText(object)) {
      if (STRIPS.has(name)) return wrap(strip(object.value, name, charsOf(args)));
      this.#checkGrowth(name, object, args);
    }
    const bound = { ...callee, object: given(object) };
    return super.evaluateCallExpression({ ...node, callee: bound, args: givenAll(args) }, scope);
  }

  override applyFilter(operand: TemplateValue, filter: Node, scope: Environment): TemplateValue {
    const name = String(filter["value"] ?? filter["callee"]?.value);
    const isCall = filter.type === "CallExpression";
    if (isText(operand) && name === "trim") {
      const args: Arguments = isCall
        ? this.evaluateArguments(filter["args"], scope)
        : [[], new Map()];
      return wrap(strip(operand.value, "strip", charsOf(args)));
    }
    // Python counts code points.
    if (isText(operand) && name === "length") return wrap([...operand.value].length);
    if (!GROWING.has(name)) return super.applyFilter(operand, filter, scope);
    const args: Arguments = isCall
      ? this.evaluateArguments(filter["args"], scope)
      : [[], new Map()];
    this.#checkGrowth(name, operand, args);
    const evaluated = isCall ? { ...filter, args: givenAll(args) } : filter;
    return super.applyFilter(operand, evaluated, scope);
  }

  /** A block with its expressions marked as such: what they give is written as Python writes it. */
  #withOutputs(nodes: Node[]): Node[] {
    let marked = this.#blocks.get(nodes);
    if (marked === undefined) {
      marked = nodes.map((node) =>
        STATEMENTS.has(node.type) ? node : { type: "Output", expression: node }
      );
      this.#blocks.set(nodes, marked);
    }
    return marked;
  }

  #written(value: TemplateValue): TemplateValue {
    const text = pythonText(value);
    return text === undefined ? value : wrap(text);
  }

  /** Refuses what would make too long a text, before it is made. */
  #checkGrowth(name: string, operand: TemplateValue, [args, named]: Arguments): void {
    const lengthOf = (value: TemplateValue | undefined) =>
      typeof value?.value === "number" ? Math.abs(value.value) : String(value?.value ?? "").length;
    const { values, chars, depth } = this.#sizes.of(operand);
    if (name === "join") this.#check(chars + values * lengthOf(args[0] ?? named.get("separator")));
    if (name === "indent") {
      const lines = isText(operand) ? occurrences(operand.value, "\n") + 1 : 1;
      this.#check(chars + lines * lengthOf(args[0] ?? named.get("width")));
    }
    if (name === "replace" && isText(operand)) {
      const count = occurrences(operand.value, String(args[0]?.value ?? ""));
      this.#check(chars + count * lengthOf(args[1]));
    }
    if (name === "tojson") {
      const separators = named.get("separators")?.value;
      const between = Array.isArray(separators) ? Math.max(0, ...separators.map(lengthOf)) : 0;
      this.#check(chars + values * (between + depth * lengthOf(named.get("indent"))));
    }
  }

  #check(length: number): void {
    if (length <= this.limits.chars) return;
    throw new TemplateBound(`a text may have ${this.limits.chars} characters at most`);
  }

  #make(chars: number): void {
    this.#made += chars;
    if (this.#made <= this.limits.made) return;
    throw new TemplateBound(
      `it may make ${this.limits.made} characters of text at most on its way`,
    );
  }

  #spend(steps: number): void {
    this.#work += steps;
    if (this.#work <= this.limits.work) return;
    throw new TemplateBound(`it may take ${this.limits.work} steps at most`);
  }
}

/** A value of ours as one of the package's: it exports no classes, but its environment makes them. */
function wrap(value: string | boolean | number): TemplateValue {
  return new Environment().set("value", value) as TemplateValue;
}

/** A node that stands for a value that is known already. */
function given(value: TemplateValue): Node {
  return { type: "Given", value };
}

function givenAll([args, named]: Arguments): Node[] {
  const keywords = [...named].map(([name, value]) => ({
    type: "KeywordArgumentExpression",
    key: { value: name },
    value: given(value),
  }));
  return [...args.map(given), ...keywords];
}

function isText(value: TemplateValue): value is TemplateValue & { value: string } {
  return value.type === "StringValue";
}

/** The characters that `strip` is given, if any. */
function charsOf([args, named]: Arguments): string | undefined {
  const chars = (args[0] ?? named.get("chars"))?.value;
  return typeof chars === "string" ? chars : undefined;
}
