"""python -m unittest test_corpus: help pages side by side, what may not be taken, and pairs both ways around."""
import os
import subprocess
import tempfile
import unittest

import numpy as np

import holdout
import sources
from batches import collate, open_pair, write_languages, write_pair
from corpus import Collector
from debs import Archive

MALLARD = """<page xmlns="http://projectmallard.org/1.0/" id="index"><!-- note -->
<info><desc>{0}</desc></info><title>{1}</title><list><item><p>{2}
<gui>{3}</gui>.</p></item></list>{4}</page>"""
DOCBOOK = """<?xml version="1.0"?><!DOCTYPE book PUBLIC "-//KDE//DTD" "kdedbx45.dtd" [
  <!ENTITY % German "INCLUDE">]>
<book><title>{0} &kate;</title><para>{1}<itemizedlist><listitem><para>{2}</para></listitem></itemizedlist></para></book>"""


class Help(unittest.TestCase):
    def pairs(self, english: str, other: str):
        pages = {(None, "ghex/index.page"): english.encode(), ("de", "ghex/index.page"): other.encode()}
        return [(a, b) for _, _, a, b in sources.help_pages(pages)]

    def test_mallard_pages_side_by_side(self):
        english = MALLARD.format("A help.", "Files", "Choose", "Open", "")
        german = MALLARD.format("Eine Hilfe.", "Dateien", "Wählen Sie", "Öffnen", "")
        wanted = [("A help.", "Eine Hilfe."), ("Files", "Dateien"), ("Choose Open.", "Wählen Sie Öffnen.")]
        self.assertEqual(self.pairs(english, german), wanted)

    def test_docbook_with_entities_of_its_own_and_only_innermost_paragraphs(self):
        found = self.pairs(DOCBOOK.format("About", "Outer", "Inner"), DOCBOOK.format("Über", "Außen", "Innen"))
        self.assertEqual(found, [("About kate", "Über kate"), ("Inner", "Innen")])

    def test_pages_of_other_elements_or_no_xml_give_nothing(self):
        english = MALLARD.format("A", "B", "C", "D", "")
        self.assertEqual(self.pairs(english, MALLARD.format("A", "B", "C", "D", "<p>more</p>")), [])
        self.assertEqual(self.pairs(english, "<page><p>not closed"), [])
        self.assertEqual(self.pairs(english, ""), [])

    def test_paths(self):
        for path, language in (("help/C/ghex/index.page", "C"), ("doc/HTML/de/kate/index.docbook", "de"),
                               ("doc/kde/HTML/fr/kate/index.docbook", "fr"), ("help/pt_BR/ghex/a/b.xml", "pt_BR")):
            self.assertEqual(sources.HELP.match("usr/share/" + path)["language"], language)
        self.assertFalse(sources.wanted("usr/share/help/C/ghex/figures/index.png"))


class Held(unittest.TestCase):
    def test_sentences_of_held_out_catalogues_are_taken_from_nowhere_and_short_labels_are(self):
        collector = Collector(["de"], holdout.Guard([]))
        collector.hold([("_Open the family tree now", "x"), ("Cancel", "x")])
        collector.add("de", "ui", "other", "Open the family _tree now", "Öffnen Sie jetzt den Stammbaum")
        collector.add("de", "ui", "other", "_Cancel", "_Abbrechen")
        self.assertEqual([list(found.values())[0][:2] for found in collector.pairs["de"].values()],
                         [("Cancel", "Abbrechen")])
        self.assertEqual(collector.left_out, {"in a held-out catalogue": 1})

    def test_sources_at_hand_are_left_out_in_their_language_alone(self):
        collector = Collector(["de", "fr"], holdout.Guard([]), {"de": {holdout.key("Open file")}})
        collector.add("de", "ui", "other", "Open file", "Datei öffnen")
        collector.add("fr", "ui", "other", "Open file", "Ouvrir le fichier")
        self.assertEqual([len(collector.pairs[k]) for k in ("de", "fr")], [0, 1])

    def test_no_list_names_a_held_out_package(self):
        here = os.path.dirname(os.path.abspath(__file__))
        for name in ("packages.txt", "packages-more.txt"):
            with open(os.path.join(here, name), encoding="utf8") as f:
                lines = [line.split() for line in f if line.strip() and not line.startswith("#")]
            held = {origin.split("/")[1] for origin in holdout.TEST | holdout.DEV if not origin.startswith("doc/")}
            self.assertEqual([p for _, p in lines if p in held or p in holdout.CATALOGUES], [])


class Packages(unittest.TestCase):
    def test_one_unknown_package_does_not_keep_the_others_away(self):
        calls = []

        def run(command, cwd, **_):
            names = command[command.index("download") + 1:]
            calls.append(names)
            if "gone" in names:
                return subprocess.CompletedProcess(command, 100)
            for name in names:
                open(os.path.join(cwd, f"{name}_1_all.deb"), "w").close()
            return subprocess.CompletedProcess(command, 0)

        with tempfile.TemporaryDirectory() as folder:
            archive, real = Archive(folder), subprocess.run
            subprocess.run = run
            try:
                found = archive.fetch(["one", "gone", "two"])
                again = archive.fetch(["two", "one"])
            finally:
                subprocess.run = real
        self.assertEqual((list(found), list(again)), (["one", "two"], ["two", "one"]))
        self.assertEqual(calls, [["one", "gone", "two"], ["one"], ["gone"], ["two"]])


class Directions(unittest.TestCase):
    def test_a_pair_into_english_is_the_same_the_other_way_around_unless_it_has_files_of_its_own(self):
        ids = lambda *numbers: np.array(numbers, np.uint16)
        with tempfile.TemporaryDirectory() as folder:
            write_languages(folder, 100, {"de": [91, 92], "fr-en": [93, 91]})
            write_pair(folder, "de", [(ids(5, 6, 7), ids(8, 9)), (ids(10), ids(11, 12))])
            write_pair(folder, "fr-en", [(ids(20, 21), ids(22))])
            pair = open_pair(folder, "de-en")
            source, target, labels = collate([[(pair, 0)], [(pair, 1)]], 6, 6)
            own = open_pair(folder, "fr-en")
            self.assertEqual((own.source, own.target, list(own.src), list(own.tgt)), (93, 91, [20, 21], [22]))
            self.assertEqual(open_pair(folder, "de").cell[0].tolist(), pair.cell[0].tolist()[::-1])
            self.assertRaises(KeyError, open_pair, folder, "es-en")
        self.assertEqual(source.tolist(), [[92, 8, 9, 2, 1, 1], [92, 11, 12, 2, 1, 1]])
        self.assertEqual(labels.tolist(), [[91, 5, 6, 7, 2, 1], [91, 10, 2, 1, 1, 1]])
        self.assertEqual(target.tolist(), [[2, 91, 5, 6, 7, 1], [2, 91, 10, 1, 1, 1]])


if __name__ == "__main__":
    unittest.main()
