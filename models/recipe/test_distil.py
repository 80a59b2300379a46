"""python -m unittest test_distil: beam search with caches against plain decoding, and what distil.py keeps."""
import math
import tempfile
import unittest

import runtime  # noqa: F401
import torch

import distil
from batches import EOS, Pair, write_pair
from beam import Beams
from model import Config, Translator

TINY = Config(vocab_size=97, d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=48, decoder_ffn_dim=48,
              encoder_attention_heads=2, decoder_attention_heads=2, num_experts=4, max_position_embeddings=64)
LANGUAGE = 90
SOURCES = [[91, 7, 8, 9, 10, EOS], [91, 30, 31, EOS, 1, 1], [91, 44, 5, 60, EOS, 1]]


def translator() -> Translator:
    """Random, with clear preferences and an end that comes now and then."""
    torch.manual_seed(3)
    model = Translator(TINY)
    with torch.no_grad():
        model.shared.weight.mul_(9)
        for p in model.parameters():
            if p.dim() == 2 and p is not model.shared.weight:
                p.mul_(2)
        end = model.shared.weight[EOS]
        model.decoder.layer_norm.bias.add_(5 * end / end.norm())
    return model.eval()


def mean_score(model: Translator, source: list[int], text: list[int]) -> float:
    """Mean log probability of a translation that ended, without caches."""
    labels = [LANGUAGE, *text, EOS]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        states = model.decode(*model.encode(torch.tensor([source])), torch.tensor([[EOS, *labels[:-1]]]))
        score = (states[0].bfloat16() @ model.shared.weight.bfloat16().t()).float().log_softmax(-1)
    return score[torch.arange(1, len(labels)), labels[1:]].mean().item()


class Search(unittest.TestCase):
    def setUp(self):
        self.model = translator()

    def found(self, beams: int):
        return Beams(self.model, beams).search(torch.tensor(SOURCES), LANGUAGE)

    def test_one_beam_takes_the_likeliest_token_each_time(self):
        for source, (text,) in zip(SOURCES, self.found(1)):
            labels = [EOS, LANGUAGE]
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                memory, mask = self.model.encode(torch.tensor([source]))
                for _ in range(2 * len(source) + 10):
                    state = self.model.decode(memory, mask, torch.tensor([labels]))[:, -1].bfloat16()
                    token = (state @ self.model.shared.weight.bfloat16().t()).argmax().item()
                    if token == EOS:
                        break
                    labels.append(token)
            self.assertEqual(text, labels[2:])

    def test_more_beams_give_ended_translations_best_first(self):
        limit = 2 * len(SOURCES[0]) + 10
        for source, texts in zip(SOURCES, self.found(6)):
            self.assertEqual(len({tuple(t) for t in texts}), 6)
            self.assertTrue(all(len(t) < limit for t in texts), "this model ends what it says")
            scores = [mean_score(self.model, source, t) for t in texts]
            for better, worse in zip(scores, scores[1:]):
                self.assertGreater(better, worse - 0.02)

    def test_other_sentences_of_the_batch_change_nothing(self):
        beams = Beams(self.model, 3)
        for source, texts in zip(SOURCES, beams.search(torch.tensor(SOURCES), LANGUAGE)):
            alone = beams.search(torch.tensor([source]), LANGUAGE)[0]
            self.assertEqual(texts[0], alone[0])


class Choice(unittest.TestCase):
    def test_bleu_of_a_case_by_hand(self):
        # 3 of 4 tokens, 2 of 3 pairs, 1 of 2 triples, 0 of 1 quadruple; one token less than the reference
        want = math.exp(1 - 5 / 4) * (3 / 4 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
        self.assertAlmostEqual(distil.bleu([1, 2, 3, 9], [1, 2, 3, 4, 5]), want)
        self.assertEqual(distil.bleu([7, 8, 9, 10], [7, 8, 9, 10]), 1)
        self.assertEqual([distil.bleu(t, [5, 6]) for t in ([], [1, 1, 1, 1])], [0, 0])

    def test_the_candidate_nearest_the_reference_is_kept(self):
        candidates = [[1, 2, 3, 4], [1, 9, 3, 5], [1, 2, 3, 5, 6]]
        self.assertEqual(distil.nearest(candidates, [1, 2, 3, 5, 6]), [1, 2, 3, 5, 6])
        self.assertEqual(distil.nearest([[8, 8], [9, 9]], [1, 2]), [8, 8])

    def test_what_is_written_is_read_as_training_text(self):
        with tempfile.TemporaryDirectory() as folder:
            kept = [([5, 6, 7], [8, 9]), ([5], []), ([6, 6], [7] * 500), ([11], [12, 13, 14])]
            distil.report(folder, {"de": kept}, 0)
            pair = Pair(folder, "de", 91, 90)
            texts = [(pair.src[a:b].tolist(), pair.tgt[c:d].tolist()) for a, b, c, d in
                     zip(pair.src_at, pair.src_at[1:], pair.tgt_at, pair.tgt_at[1:])]
            self.assertEqual(texts, [kept[0], kept[3]])

    def test_a_run_keeps_sentences_of_its_share_and_its_model(self):
        with tempfile.TemporaryDirectory() as folder:
            sources = [([k, k + 1] * 6, [k]) for k in range(5, 45)]
            write_pair(folder, "de", sources)
            pair = Pair(folder, "de", 91, LANGUAGE)
            pile = distil.Pile(pair, 1, 64, (1, 2))
            out = []
            beams = Beams(translator(), 2)
            while distil.work(pile, beams, out):
                pass
            self.assertEqual(len({tuple(s) for s, _ in out}), len(out))
            self.assertEqual(len(out), 20)
            for source, text in out:
                self.assertIn((source, [source[0]]), sources)
                self.assertIn(text, beams.search(torch.tensor([[91, *source, EOS]]), LANGUAGE)[0])


if __name__ == "__main__":
    unittest.main()
