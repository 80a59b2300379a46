"""python -m unittest test_words: entries of dictionaries, and everyday sentences held apart from their test."""
import gzip
import os
import tempfile
import unittest

import dictionary
import everyday


class Dictionaries(unittest.TestCase):
    def written(self, name: str, text: str, opener=open) -> str:
        folder = tempfile.mkdtemp()
        path = os.path.join(folder, name)
        with opener(path, "wt", encoding="utf8") as f:
            f.write(text)
        return path

    def test_ding_forms_stand_side_by_side_and_synonyms_go_to_the_first(self):
        path = self.written("de-en", "# head\nGroßmutter {f}; Oma {f} | Großmütter {pl} :: grandmother | grandmothers\n")
        self.assertEqual(list(dictionary.ding(path)), [
            ("de", "grandmother", "Großmutter"), ("de", "grandmother", "Oma"), ("de", "grandmothers", "Großmütter")])

    def test_notes_shortened_objects_and_alternatives_go_and_what_is_unclear_is_dropped(self):
        for text, left in (("etw. backen {vt}", "backen"), ("to bake sth. [cook.]", "to bake"), ("he/she bakes", "he bakes"),
                           ("sb.'s house", "house"), ("Lebensmittel (pl.)", "Lebensmittel"), ("in ... zu", ""), ("z. B.", "")):
            self.assertEqual(dictionary.plain(text), left)

    def test_freedict_both_ways(self):
        text = "about the file\n\nstable /stˈeɪbəl/ <n>\nestablo, cuadra 2.\nA building for horses.\n"
        path = self.written("freedict-eng-spa.dict.dz", text, gzip.open)
        self.assertEqual(list(dictionary.freedict(path)), [("es", "stable", "establo"), ("es", "stable", "cuadra")])
        path = self.written("freedict-fra-eng.dict.dz", "jeudi /ʒødi/\nThursday\n", gzip.open)
        self.assertEqual(list(dictionary.freedict(path)), [("fr", "Thursday", "jeudi")])

    def test_rare_words_and_long_texts_are_not_common(self):
        self.assertTrue(dictionary.common("grandmother", "en"))
        self.assertFalse(dictionary.common("dacryocystorhinostomy", "en"))
        self.assertFalse(dictionary.common("the " * 21, "en"))
        self.assertFalse(dictionary.common("12", "en"))


class Everyday(unittest.TestCase):
    test = [("The dog that we saw sleeps here.", "Der Hund schläft hier.", "Le chien dort ici.", "El perro duerme aquí.")]

    def test_near_a_line_of_the_test_in_any_language_is_left_out(self):
        other = ("The cat sleeps.", "Die Katze schläft.", "Le chat dort.", "El gato duerme.")
        same_german = ("This dog sleeps here.", "Der Hund schläft hier!", "Ce chien dort ici.", "Este perro duerme aquí.")
        self.assertEqual(everyday.kept([other, same_german, self.test[0], other], self.test), [other])

    def test_a_broken_line_is_named(self):
        path = os.path.join(tempfile.mkdtemp(), "a.tsv")
        with open(path, "w", encoding="utf8") as f:
            f.write("a\tb\tc\td\na\tb\t\td\n")
        with self.assertRaisesRegex(ValueError, "a.tsv:2"):
            list(everyday.quadruples(path))


if __name__ == "__main__":
    unittest.main()
