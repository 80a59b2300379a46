/** Values inside a chat template as @huggingface/jinja has them: their size, equality and a few of Python's operations. */

/** A value of the package's runtime; it exports no types of its own. */
export interface TemplateValue {
  readonly type: string;
  readonly value: unknown;
  /** The package's table of methods, made on first use and kept: some 1.5 KB a string. */
  _builtins?: unknown;
}

/** Thrown where a template asks for more than it may have. Its message is a rule: "its text may have ... at most". */
export class TemplateBound extends Error {}

/** How large a value is, shared parts counted each time that they occur. */
export interface Size {
  values: number;
  chars: number;
  depth: number;
}

/** Deeper values are refused: the package's own functions recurse into them. */
const DEEPEST = 100;
/** UTF-16 units that a value counts as beside its text. */
export const VALUE_CHARS = 16;

/** Measures values. What cannot change is measured once. */
export class Sizes {
  readonly #known = new WeakMap<object, Size>();

  /** @param most units that a value may have at most */
  constructor(private readonly most: number) {}

  /** Throws TemplateBound for what is too large, too deep or contains itself. */
  of(value: TemplateValue): Size {
    return this.#measure(value, 0).size;
  }

  #measure(value: TemplateValue, level: number): { size: Size; changes: boolean } {
    if (value.type === "StringValue") return leaf((value.value as string).length);
    const known = this.#known.get(value);
    if (known !== undefined) return { size: known, changes: false };
    const children = childrenOf(value);
    if (children === undefined) return leaf(0);
    if (level > DEEPEST) throw tooDeep();
    const size = { values: 1, chars: 0, depth: 0 };
    // A namespace can be changed later, and so can whatever contains one.
    let changes = value.type === "NamespaceValue";
    for (const [key, child] of children) {
      const inner = this.#measure(child, level + 1);
      changes ||= inner.changes;
      size.values += inner.size.values;
      size.chars += inner.size.chars + key.length;
      size.depth = Math.max(size.depth, inner.size.depth + 1);
      if (size.depth > DEEPEST) throw tooDeep();
      if (size.values * VALUE_CHARS + size.chars > this.most) {
        throw new TemplateBound(`a value may have ${this.most} characters at most`);
      }
    }
    if (!changes) this.#known.set(value, size);
    return { size, changes };
  }
}

function tooDeep(): TemplateBound {
  return new TemplateBound(`values may be nested ${DEEPEST} deep at most`);
}

function leaf(chars: number): { size: Size; changes: boolean } {
  return { size: { values: 1, chars, depth: 0 }, changes: false };
}

/** The parts of a value with their keys, "" in a list; undefined where it has none. */
function childrenOf(value: TemplateValue): Iterable<[string, TemplateValue]> | undefined {
  if (Array.isArray(value.value)) return value.value.map((child) => ["", child]);
  return value.value instanceof Map ? value.value : undefined;
}

/** Whether two values are equal as Python has it: by content, and never by turning one into the other's kind. */
export function equals(a: TemplateValue, b: TemplateValue): boolean {
  if (isNumber(a) && isNumber(b)) return Number(a.value) === Number(b.value);
  const [one, other] = [a.value, b.value];
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((x, i) => equals(x, other[i]));
  }
  if (one instanceof Map && other instanceof Map) {
    return one.size === other.size &&
      [...one].every(([key, x]) => other.has(key) && equals(x, other.get(key)));
  }
  return a.type === b.type && one === other;
}

/** How Python writes what is no text, where the package writes otherwise; undefined elsewhere. */
export function pythonText({ type, value }: TemplateValue): string | undefined {
  if (type === "NullValue") return "None";
  return type === "BooleanValue" ? (value ? "True" : "False") : undefined;
}

function isNumber({ type }: TemplateValue): boolean {
  return type === "IntegerValue" || type === "FloatValue" || type === "BooleanValue";
}

/** White space as Python's str.strip has it: Unicode's, and four separators among the controls. */
const isPythonSpace = (c: string) => /\p{White_Space}/u.test(c) || (c >= "\x1c" && c <= "\x1f");

/** Python's strip, lstrip and rstrip: without characters of white space, else of those of `chars`. */
export function strip(text: string, side: string, chars: string | undefined): string {
  const set = chars === undefined ? undefined : new Set(chars);
  const goes = (c: string) => set ? set.has(c) : isPythonSpace(c);
  const characters = [...text];
  let start = 0, end = characters.length;
  while (side !== "rstrip" && start < end && goes(characters[start]!)) start++;
  while (side !== "lstrip" && end > start && goes(characters[end - 1]!)) end--;
  return characters.slice(start, end).join("");
}

/** How often `part` occurs in `text`, as Python's count has it. */
export function occurrences(text: string, part: string): number {
  if (part === "") return text.length + 1;
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}
