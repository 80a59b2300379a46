"""Everyday sentences in four languages, written for this recipe, as rows for tokens.py:

    python everyday.py OUT everyday/FILE.tsv... [--test everyday/test.tsv...]

FILE has lines `English TAB German TAB French TAB Spanish`. Writes OUT/en-de.tsv, en-fr.tsv and en-es.tsv without those
near a line of a test, in any of its languages: held out as the recipe's other dev rows are.

The training texts (49 MB) are in an earlier commit, so that a clone stays small; only the tests are in this tree.
"""
import argparse
import pathlib

from holdout import Guard, key
from tokens import write_rows

LANGUAGES = ("en", "de", "fr", "es")
ORIGIN = "everyday"

COMMIT = "021ef2f41e0a38730f5e6ead37bea781a15dda7c"
"""The last one with the training texts."""

RESTORE = f"git restore --source={COMMIT} -- models/recipe/everyday"


def check_there(files: list[str], tests: list[str]) -> None:
    """Ends the program unless every file is there and one of them is training text."""
    missing = [path for path in files if not pathlib.Path(path).exists()]
    held_out = {pathlib.Path(path).resolve() for path in tests}
    if missing:
        found = f"{missing[0]} does not exist"
    elif all(path.name.startswith("test") or path.resolve() in held_out for path in map(pathlib.Path, files)):
        found = "only tests were given"
    else:
        return
    raise SystemExit(f"everyday.py needs training text, but {found}. The texts of this recipe are in an earlier commit; in "
                     f"the repository's root run:\n    {RESTORE}\n"
                     f"(in a shallow clone first: git fetch --depth 1 origin {COMMIT})")


def quadruples(path: str):
    """The lines of a file, each as a text a language."""
    for number, line in enumerate(pathlib.Path(path).read_text("utf8").splitlines(), 1):
        row = tuple(part.strip() for part in line.split("\t"))
        if len(row) != len(LANGUAGES) or not all(row):
            raise ValueError(f"{path}:{number}: expected {len(LANGUAGES)} texts with tabs between, found {len(row)}")
        yield row


def kept(rows, test: list) -> list:
    """Each English once, none near the test's lines in any language."""
    guards = [Guard([(row[i], row[i]) for row in test]) for i in range(len(LANGUAGES))]
    found = {}
    for row in rows:
        if not any(guard.hits(key(text), text) for guard, text in zip(guards, row)):
            found.setdefault(key(row[0]), row)
    return list(found.values())


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out")
    ap.add_argument("files", nargs="+")
    ap.add_argument("--test", nargs="+", default=[])
    a = ap.parse_args()
    check_there(a.files, a.test)
    test = [row for path in a.test for row in quadruples(path)]
    rows = [row for path in a.files for row in quadruples(path)]
    left = kept(rows, test)
    for i, language in enumerate(LANGUAGES[1:], 1):
        write_rows(a.out, language, ((row[0], row[i], ORIGIN) for row in left))
    print(len(rows), "lines,", len(left), "kept,", sum(len(row[0].split()) for row in left), "English words")


if __name__ == "__main__":
    main()
