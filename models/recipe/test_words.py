"""python -m unittest test_words: entries of dictionaries, everyday sentences held apart from their test, a declaration."""
import gzip
import os
import tempfile
import unittest

import declaration
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

    def test_without_training_text_the_command_that_brings_it_is_told(self):
        folder = tempfile.mkdtemp()
        there, held_out, gone = (os.path.join(folder, name) for name in ("work.tsv", "test-mixed.tsv", "gone.tsv"))
        for path in (there, held_out):
            open(path, "w", encoding="utf8").close()
        everyday.check_there([there, held_out], [held_out])
        for files, tests, why in (([gone], [], "gone.tsv does not exist"), ([held_out], [], "only tests"), ([there], [there], "only tests")):
            with self.assertRaisesRegex(SystemExit, f"(?s){why}.*git restore --source={everyday.COMMIT} -- models/recipe/everyday"):
                everyday.check_there(files, tests)

    def test_a_broken_line_is_named(self):
        path = os.path.join(tempfile.mkdtemp(), "a.tsv")
        with open(path, "w", encoding="utf8") as f:
            f.write("a\tb\tc\td\na\tb\t\td\n")
        with self.assertRaisesRegex(ValueError, "a.tsv:2"):
            list(everyday.quadruples(path))


class Declaration(unittest.TestCase):
    def page(self, *found: tuple[str, list[str]]) -> str:
        body = "".join(f'<article data-number="{number}"><h2>Article</h2>{"".join(paragraphs)}</article>' for number, paragraphs in found)
        return f"<body><p>Preamble,</p>{body}</body>"

    def test_paragraphs_stand_side_by_side_and_articles_that_differ_are_left_out(self):
        first = self.page(("1", ["<p>All &amp; one\n  each.</p>"]), ("2", ["<p>One.</p>", "<p>Two.</p>"]), ("3", ["<p>Three.</p>"]))
        second = self.page(("1", ["<ol><li><p>Alle.</p></li></ol>"]), ("2", ["<p>Eins. Zwei.</p>"]), ("3", ["<p>Drei.</p>"]))
        self.assertEqual(list(declaration.rows([first, second])), [("All & one each.", "Alle."), ("Three.", "Drei.")])


if __name__ == "__main__":
    unittest.main()
