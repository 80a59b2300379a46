"""Everyday sentences in four languages, written for this recipe, as rows for tokens.py:

    python everyday.py OUT everyday/FILE.tsv... [--test everyday/test.tsv...]

FILE has lines `English TAB German TAB French TAB Spanish`. Writes OUT/en-de.tsv, en-fr.tsv and en-es.tsv without those
near a line of a test, in any of its languages: held out as the recipe's other dev rows are.
"""
import argparse
import pathlib

from holdout import Guard, key
from tokens import write_rows

LANGUAGES = ("en", "de", "fr", "es")
ORIGIN = "everyday"


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
    test = [row for path in a.test for row in quadruples(path)]
    rows = [row for path in a.files for row in quadruples(path)]
    left = kept(rows, test)
    for i, language in enumerate(LANGUAGES[1:], 1):
        write_rows(a.out, language, ((row[0], row[i], ORIGIN) for row in left))
    print(len(rows), "lines,", len(left), "kept,", sum(len(row[0].split()) for row in left), "English words")


if __name__ == "__main__":
    main()
