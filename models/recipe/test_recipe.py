"""python -m unittest test_recipe: the fast paths against plain definitions, and the rules of the text."""
import itertools
import os
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import runtime  # noqa: F401
import numpy as np
import torch
import torch.nn.functional as F

import average
import bases
import cleaning
import clusters
import feedback
import holdout
import qat
import sources
import train
from batches import Batches, collate, write_languages, write_pair
from loss import SmoothedCrossEntropy, Teacher
from model import Config, Translator
from moe import SparseMLP
from muon import orthogonalise
from peers import Peers
from upcycle import routers_of, upcycle

TINY = Config(vocab_size=97, d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=48, decoder_ffn_dim=48,
              encoder_attention_heads=2, decoder_attention_heads=2, num_experts=4, max_position_embeddings=32)


class Network(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)

    def test_sparse_block_is_the_weighted_sum_of_two_experts(self):
        block = SparseMLP(16, 24, 5)
        torch.nn.init.normal_(block.router.classifier.weight)
        x, live = torch.randn(3, 7, 16), torch.rand(3, 7) > 0.3
        found = block(x, live)
        for b, t in np.ndindex(3, 7):
            p = (block.router.classifier.weight @ x[b, t]).softmax(-1)
            top, which = p.topk(2)
            want = sum(w * block.experts[f"expert_{e}"](x[b, t]) for w, e in zip(top / top.sum(), which.tolist()))
            torch.testing.assert_close(found[b, t], want * live[b, t], atol=1e-5, rtol=1e-4)

    def check_loss(self, x, weight, label, wanted, teacher=None):
        """Loss, plain nats and both gradients against wanted(logits [n, V]) in float64."""
        a = [v.clone().requires_grad_() for v in (x, weight)]
        b = [v.bfloat16().double().requires_grad_() for v in (x, weight)]
        loss, nll = SmoothedCrossEntropy.apply(*a, label, 0.1, teacher)
        logits = b[0] @ b[1].t()
        want = wanted(logits)
        loss.backward()
        want.backward()
        self.assertAlmostEqual(loss.item(), want.item(), delta=0.01 * want.item())
        self.assertAlmostEqual(nll.item(), F.cross_entropy(logits, label).item(), delta=0.01 * want.item())
        for ours, theirs in zip(a, b):
            nmse = (ours.grad - theirs.grad).square().sum() / theirs.grad.square().sum()
            self.assertLess(nmse.item(), 1e-4)

    def test_loss_and_gradients_are_those_of_cross_entropy(self):
        x, weight, label = torch.randn(700, 32), torch.randn(97, 32), torch.randint(0, 97, (700,))
        self.check_loss(x, weight, label, lambda logits: F.cross_entropy(logits, label, label_smoothing=0.1))

    def test_a_teacher_takes_its_share_of_the_target(self):
        x, weight, label = torch.randn(700, 32), torch.randn(97, 32), torch.randint(0, 97, (700,))
        other, table = torch.randn(700, 32), torch.randn(97, 32)
        taught = (other.bfloat16().double() @ table.bfloat16().double().t()).softmax(1)
        smooth = F.one_hot(label, 97) * 0.9 + 0.1 / 97
        wanted = lambda logits: F.cross_entropy(logits, 0.3 * smooth + 0.7 * taught)
        self.check_loss(x, weight, label, wanted, Teacher(other, table, 0.7))

    def test_a_model_that_is_its_own_teacher_loses_only_to_the_labels(self):
        model = Translator(TINY)
        ids = torch.randint(5, 97, (2, 6))
        alone, taught = (model.loss(ids, ids, ids, model, share) for share in (0.0, 1.0))
        self.assertAlmostEqual(alone[1].item(), taught[1].item(), delta=1e-3)
        taught[0].backward()
        gradient = model.shared.weight.grad.abs().max().item()  # what is left is balance and z
        self.assertLess(gradient, 0.01)

    def test_padding_changes_nothing(self):
        model = Translator(TINY).eval()
        source, target = torch.tensor([[5, 6, 7, 2]]), torch.tensor([[2, 9, 8]])
        padded = torch.cat([source, torch.full((1, 5), 1)], 1)
        with torch.no_grad():
            a, b = (model.decode(*model.encode(s), target) for s in (source, padded))
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)

    def test_dropout_is_there_in_training_alone(self):
        model, ids = Translator(replace(TINY, dropout=0.3)), torch.randint(5, 97, (2, 6))
        with torch.no_grad():
            training = [model.encode(ids)[0] for _ in range(2)]
            model.eval()
            plain = [model.encode(ids)[0] for _ in range(2)]
        self.assertGreater((training[0] - training[1]).abs().max().item(), 0.01)
        self.assertTrue(torch.equal(*plain))

    def test_dense_twin_has_the_active_parameters(self):
        active = lambda m: sum(p.numel() for n, p in m.named_parameters()
                               if "classifier" not in n and ("expert_" not in n or "expert_0" in n or "expert_1." in n))
        moe, twin = Translator(TINY), Translator(TINY.dense_twin())
        self.assertLess(abs(active(moe) - active(twin)) / active(twin), 0.01)

    def test_upcycled_model_computes_what_the_dense_one_does(self):
        dense = Translator(TINY.dense_twin())
        for p in dense.parameters():
            p.data += 0.1 * torch.randn_like(p)  # biases too
        routers = {f"{side} {i}": torch.randn(3, 32) for side in ("encoder", "decoder") for i in range(2)}
        model = upcycle(dense, 6, routers)
        ids, live = torch.randint(5, 97, (3, 9)), torch.randint(2, 97, (3, 7))
        with torch.no_grad():
            a, b = (m.decode(*m.encode(ids), live) for m in (dense, model))
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
        for _, sparse in model.sparse_layers():
            self.assertGreater(len(sparse.chosen.unique()), 2)
            self.assertTrue((sparse.chosen.min(1).values % 2 == 0).all())

    def test_bases_and_differences_are_the_experts_together(self):
        name = "model.encoder.layers.0.ffn.experts.expert_{}.fc1.weight"
        kinds = torch.randn(2, 6, 4)
        whole = {name.format(e): kinds[e % 2] + 0.1 * torch.randn(6, 4) for e in range(4)}
        others = {name.format(0).replace("weight", "bias"): torch.randn(6), "model.shared.weight": torch.randn(9, 4)}
        found, shares = bases.split(whole | others, 2)
        base = "model.encoder.layers.0.ffn.bases.base_{}.fc1.weight"
        self.assertEqual(set(found), set(whole) | set(others) | {base.format(0), base.format(1)})
        for e in range(4):
            torch.testing.assert_close(found[name.format(e)] + found[base.format(e % 2)], whole[name.format(e)])
        self.assertLess(max(shares), 0.3)
        for key, value in others.items():
            torch.testing.assert_close(found[key], value)

    def test_split_with_the_routers_of_a_mixture_averages_with_it(self):
        dense = Translator(TINY.dense_twin())
        groups = {f"{side} {i}": torch.randn(3, 32) for side in ("encoder", "decoder") for i in range(2)}
        mixture, further = upcycle(dense, 6, groups), Translator(TINY.dense_twin())
        further.load_state_dict({k: v + 0.02 * torch.randn_like(v) for k, v in dense.state_dict().items()})
        for p in mixture.parameters():  # trained: routers and experts have parted
            p.data += 0.02 * torch.randn_like(p)
        split = upcycle(further, 6, routers_of(mixture, further))
        for (_, a), (_, b) in zip(mixture.sparse_layers(), split.sparse_layers()):
            torch.testing.assert_close(a.router.classifier.weight, b.router.classifier.weight)
        states = [m.state_dict() for m in (mixture, split)]
        self.assertLess(average.apart(states, average.mean(states, [0.5, 0.5])), 0.3)
        with self.assertRaisesRegex(SystemExit, "widths"):
            routers_of(Translator(replace(mixture.config, encoder_ffn_dim=8)), dense)

    def test_routers_split_evenly_within_each_kind(self):
        rows, kind = torch.randn(3000, 16), torch.randint(5, 7, (3000,))
        rows[:, 0] += 6 * (kind - 5.5)  # as a decoder's states differ by language
        owned = clusters.shared_out(5, [5, 6])
        self.assertEqual(owned, {5: [0, 1], 6: [2, 3, 4]})
        scores = rows @ clusters.fit(rows, kind, owned).t()
        top, best = scores.topk(2)
        for k, groups in owned.items():
            share = torch.bincount(best[kind == k, 0], minlength=5)[groups] / (kind == k).sum()
            self.assertGreater(share.sum().item(), 0.95)
            self.assertGreater(share.min().item(), 0.6 / len(groups))
        self.assertGreater((top[:, 0] - top[:, 1]).mean().item(), 1.5)

    def test_balanced_shares_are_even(self):
        share = clusters.balanced(torch.randn(200, 4) * 3 + torch.tensor([4.0, 0, 0, 0]))
        torch.testing.assert_close(share.sum(1), torch.ones(200))
        torch.testing.assert_close(share.sum(0), torch.full((4,), 50.0), atol=2.0, rtol=0)

    def test_orthogonalised_singular_values_are_near_one(self):
        for shape in ((24, 64), (64, 24)):
            values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)).float())
            self.assertTrue((values > 0.5).all() and (values < 1.4).all())

    def test_scales_are_the_best_of_a_dense_search(self):
        weight = torch.randn(3, 100)
        scales = qat.best_scales(weight)
        for row, g in np.ndindex(3, 2):
            part = weight[row:row + 1, g * 64:(g + 1) * 64]
            error = lambda s: (qat.quantized(part, torch.full((1, 1, 1), s)) - part).square().sum().item()
            best = min(error(s) for s in np.linspace(0.2, 2.0, 4000))
            self.assertLess(error(scales[row, g, 0].item()), best * 1.001)

    def test_quantized_weights_are_found_again_exactly(self):
        weight = torch.randn(40, 100)
        grid = qat.GridLinear.of(torch.nn.Linear(100, 40))
        grid.weight.data.copy_(weight)
        grid.refit()
        exact = grid.exact()
        self.assertTrue(torch.equal(qat.quantized(exact, qat.best_scales(exact)), exact))
        self.assertLessEqual(len(exact[0, :64].abs().unique()), 2)

    def test_trained_scales_keep_codes_and_are_found_again_exactly(self):
        linear = torch.nn.Linear(100, 40)
        linear.weight.data.copy_(qat.quantized(linear.weight.detach(), qat.best_scales(linear.weight.detach())))
        begun = linear.weight.detach().clone()
        layer, x = qat.ScaleLinear(linear), torch.randn(7, 100)
        self.assertTrue(torch.equal(layer.exact(), begun))
        torch.testing.assert_close(layer(x), linear(x))
        layer(x).square().sum().backward()
        with torch.no_grad():
            layer.gain -= 0.1 * layer.gain.grad.sign()
        exact = layer.exact()
        self.assertFalse(torch.equal(exact, begun))
        self.assertTrue(torch.equal(exact.sign(), begun.sign()))
        self.assertTrue(torch.equal(qat.quantized(exact, qat.best_scales(exact)), exact))
        torch.testing.assert_close(layer(x), F.linear(x, exact, layer.bias), atol=1e-2, rtol=1e-2)

    def test_codes_of_a_trellis_stay_and_their_scales_are_trained(self):
        torch.manual_seed(3)
        magnitudes = torch.tensor(qat.TRELLIS, dtype=torch.float32)
        level = magnitudes[torch.randint(0, 8, (40, 100))] * torch.randint(0, 2, (40, 100)).mul(2).sub(1)
        scale = (torch.rand(40, 2) * 0.01 + 0.001).half().float().repeat_interleave(64, 1)[:, :100]
        linear = torch.nn.Linear(100, 40)
        self.assertIsNone(qat.trellis_parts(linear.weight.detach()))
        linear.weight.data.copy_(level * scale)
        layer, x = qat.as_written(linear), torch.randn(7, 100)
        self.assertIsInstance(layer, qat.ScaleLinear)
        self.assertTrue(torch.equal(layer.exact(), level * scale))
        torch.testing.assert_close(layer(x), linear(x))
        with torch.no_grad():
            layer.gain += 0.2 * torch.randn_like(layer.gain)
        found = qat.trellis_parts(layer.exact())
        self.assertTrue(torch.equal(found[1].flatten(1)[:, :100], level))
        linear.weight.data[3, :64] = 0  # a group of zeros is one of scale 0
        self.assertTrue(torch.equal(qat.as_written(linear).exact(), linear.weight.detach()))
        linear.weight.data[3, 70] += 1e-4
        self.assertIsNone(qat.trellis_parts(linear.weight.detach()))

    def test_a_model_with_trained_scales_is_written_as_any_other(self):
        model = Translator(TINY)
        for grid in qat.attach(model):
            grid.weight.data.copy_(grid.exact())
        exact = qat.exact_weights(model)
        plain = Translator(TINY)
        plain.load_state_dict(model.state_dict())
        qat.attach(plain, qat.ScaleLinear)
        found = qat.plain(plain, qat.exact_weights(plain))
        self.assertEqual(found.keys(), Translator(TINY).state_dict().keys())
        self.assertTrue(all(torch.equal(found[k], v) for k, v in exact.items()))

    def test_refitting_never_adds_error(self):
        grid = qat.GridLinear.of(torch.nn.Linear(100, 40))
        grid.scales.mul_(1.7)
        error = lambda: (grid.exact() - grid.weight).square().sum().item()
        before = error()
        grid.refit()
        self.assertLess(error(), before)

    def test_feedback_keeps_outputs_that_nearest_levels_lose(self):
        torch.manual_seed(1)
        x = torch.randn(900, 70, dtype=torch.float64) @ torch.randn(70, 70, dtype=torch.float64)
        weight = torch.randn(30, 70, dtype=torch.float64)
        h = feedback.damped(feedback.moments(x, x))
        error = lambda level: ((weight - level) @ h * (weight - level)).sum().item()
        nearest = qat.quantized(weight.float(), qat.best_scales(weight.float())).double()
        level, scales = feedback.rounded(weight, h)
        self.assertLess(error(level), 0.5 * error(nearest))
        self.assertLess(error(level), error(feedback.rounded(weight, h, rounds=0)[0]))
        placed = feedback.inside(weight, level, feedback.spread(scales, 70)).float()
        torch.testing.assert_close(qat.quantized(placed, scales), level.float())

    def test_experts_settled_on_levels_compute_nearly_what_they_did(self):
        torch.manual_seed(2)
        x = torch.randn(3000, 32) @ torch.randn(32, 32)
        def error(prepare):
            torch.manual_seed(3)
            block = SparseMLP(32, 64, 1)
            expert = block.experts["expert_0"]
            want = expert(x[2500:])
            prepare(expert)
            qat.attach(block)
            return (expert(x[2500:]) - want).square().sum().item()
        self.assertLess(error(lambda e: feedback.settle(e, x[:2500].double())), 0.4 * error(lambda e: None))

    def test_straight_through_reaches_every_expert_it_was_routed_to(self):
        model = Translator(TINY)
        self.assertEqual(len(qat.attach(model)), 2 * 2 * 4)
        ids = torch.randint(5, 97, (2, 6))
        model.loss(ids, ids, ids)[0].backward()
        sparse = model.sparse_layers()[0][1]
        used = sparse.chosen.unique().tolist()
        self.assertTrue(all(sparse.experts[f"expert_{e}"].fc1.weight.grad.abs().sum() > 0 for e in used))

    def test_experts_that_are_not_trained_are_left_off_the_grid(self):
        model = Translator(TINY)
        for name, p in model.named_parameters():
            p.requires_grad_("expert_3." in name)
        self.assertEqual(len(qat.attach(model)), 2 * 2)
        self.assertIsInstance(model.sparse_layers()[0][1].experts["expert_0"].fc1, torch.nn.Linear)
        self.assertNotIsInstance(model.sparse_layers()[0][1].experts["expert_0"].fc1, qat.GridLinear)

    def test_experts_that_are_to_be_wide_are_left_off_the_grid(self):
        model = Translator(TINY)
        last = model.sparse_layers()[-1][1]
        self.assertEqual(len(qat.attach(model, wide=r"decoder\.layers\.1\..*expert_[01]\.")), 2 * (2 * 4 - 2))
        self.assertNotIsInstance(last.experts["expert_1"].fc2, qat.GridLinear)
        self.assertIsInstance(last.experts["expert_2"].fc2, qat.GridLinear)

    def test_every_parameter_that_is_trained_is_in_one_group_of_an_optimizer(self):
        for adamw, only in itertools.product((False, True), ("", "router", "expert_2")):
            model = Translator(TINY)
            for name, p in model.named_parameters():
                p.requires_grad_(only in name)
            rates = SimpleNamespace(adamw=adamw, lr=1e-3, trunk_lr=1, router_lr=1, bias_lr=1, scale_lr=1)
            groups = [g for o in train.optimizers(model, rates) for g in o.param_groups]
            self.assertEqual(sorted(id(p) for g in groups for p in g["params"]),
                             sorted(id(p) for p in model.parameters() if p.requires_grad))

    def test_batch_rows_are_language_ids_end(self):
        class One:
            src, tgt = np.array([10, 11], np.uint16), np.array([20], np.uint16)
            src_at, tgt_at, source, target = [0, 2], [0, 1], 90, 91
        source, target, labels = collate([[(One, 0)]], 6, 6)
        self.assertEqual(source.tolist(), [[90, 10, 11, 2, 1, 1]])
        self.assertEqual(target.tolist(), [[2, 91, 20, 1, 1, 1]])
        self.assertEqual(labels.tolist(), [[91, 20, 2, 1, 1, 1]])

    def test_pairs_that_a_teacher_knows_have_batches_of_their_own(self):
        with tempfile.TemporaryDirectory() as folder:
            write_languages(folder, 97, {"de": [90, 91]})
            write_pair(folder, "de", [([10, 11], [20]), ([12], [21, 22])])
            first = lambda apart, n: [set(labels[:, 0].tolist()) for *_, labels in
                                      itertools.islice(Batches(folder, ["de", "de-en"], 24, 0, apart), n)]
            self.assertEqual(set(map(frozenset, first({"de"}, 50))), {frozenset({90}), frozenset({91})})
            self.assertIn({90, 91}, first((), 50))

    def test_batches_tell_whether_a_teacher_knows_their_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            known, other = os.path.join(folder, "known"), os.path.join(folder, "other")
            for where, ids in ((known, [20]), (other, [30])):
                os.mkdir(where)
                write_languages(where, 97, {"de": [90, 91]})
                write_pair(where, "de", [([10, 11], ids)])
            batches = Batches(f"{known},{other}", ["de"], 24, 0, {known})
            seen = {(batches.was_apart, *set(labels[:, 1].tolist())) for *_, labels in itertools.islice(batches, 50)}
            self.assertEqual(seen, {(True, 20), (False, 30)})

    def test_a_sentence_brings_its_translations_in_the_other_pairs(self):
        with tempfile.TemporaryDirectory() as folder:
            write_languages(folder, 97, {"de": [90, 91], "fr": [90, 92], "es": [90, 93]})
            write_pair(folder, "de", [([10, 11], [20]), ([12], [21])])
            write_pair(folder, "fr", [([13], [30]), ([10, 11], [31] * 5)])
            write_pair(folder, "es", [([10, 11], [40]), ([12], [41])])
            seen = set()
            for source, target, labels in itertools.islice(Batches(folder, ["de", "fr", "es"], 24, 0, together=True), 60):
                shared = len(labels) // len(source)
                for row, ids in enumerate(labels.tolist()):
                    seen.add((shared, source[row // shared, 1].item(), ids[0], ids[1]))
                self.assertTrue(torch.equal(target[:, 1], labels[:, 0]))
        self.assertEqual(seen, {(3, 10, 91, 20), (3, 10, 92, 31), (3, 10, 93, 40), (2, 12, 91, 21), (2, 12, 93, 41), (1, 13, 92, 30)})

    def test_no_translation_comes_along_that_the_teacher_does_not_know(self):
        with tempfile.TemporaryDirectory() as folder:
            write_languages(folder, 97, {name: [90, 91 + i] for i, name in enumerate(("de", "fr", "es"))})
            for name in ("de", "fr", "es"):
                write_pair(folder, name, [([10, 11], [20])])
            batches = Batches(folder, ["de", "fr", "es"], 24, 0, {"de"}, together=True)
            seen = {(batches.was_apart, *labels[:, 0].tolist()) for *_, labels in itertools.islice(batches, 50)}
        self.assertEqual({(apart, frozenset(codes)) for apart, *codes in seen}, {(True, frozenset({91})), (False, frozenset({92, 93}))})

    def test_translations_of_one_source_are_as_when_each_has_its_own(self):
        model = Translator(TINY)
        source, target = torch.randint(5, 97, (2, 6)), torch.randint(5, 97, (6, 7))
        source[1, 4:] = target[4, 5:] = 1
        found = []
        for encoded in (source, source.repeat_interleave(3, 0)):
            model.zero_grad()
            loss, nll, *_ = model.loss(encoded, target, target)
            loss.backward()
            found.append((nll, model.encoder.layers[0].self_attn.q_proj.weight.grad.clone()))
        torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-3)

    def test_average_is_the_weighted_mean_and_how_far_runs_lie_from_it(self):
        a, b = {"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([5.0, 4.0]).bfloat16()}
        torch.testing.assert_close(average.mean([a, b], [0.25, 0.75]), {"w": torch.tensor([4.5, 4.0])})
        torch.testing.assert_close(average.mean([a, b], [0.25, 0.75], keep="^w"), {"w": a["w"].float()})
        middle = average.mean([a, b], [0.5, 0.5])
        self.assertAlmostEqual(average.apart([a, b], middle), 1 / 32**0.5, places=6)
        with self.assertRaises(SystemExit):
            average.mean([a, {"v": a["w"]}], [0.5, 0.5])


class Together(unittest.TestCase):
    """Processes of one training; here they are threads."""

    def meet(self, models, folder, step, patience=400):
        each = [Peers(folder, rank, len(models), 50, patience) for rank in range(len(models))]
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda pair: pair[0].meet(pair[1], step), zip(each, models)))

    def test_each_goes_on_from_the_mean_of_all(self):
        torch.manual_seed(3)
        models = [Translator(TINY) for _ in range(3)]
        wanted = average.mean([m.state_dict() for m in models], [1 / 3] * 3)
        with tempfile.TemporaryDirectory() as folder:
            for step in (50, 100):
                self.assertEqual(self.meet(models, folder, step), [3, 3, 3])
                for model in models:
                    for name, value in model.state_dict().items():
                        torch.testing.assert_close(value, wanted[name])
                        self.assertTrue(torch.equal(value, models[0].state_dict()[name]))
            self.assertEqual(sorted(os.listdir(folder)), ["100.0.pt", "100.1.pt", "100.2.pt"])

    def test_who_is_missing_is_waited_for_and_then_left_out(self):
        torch.manual_seed(3)
        one, other = Translator(TINY), Translator(TINY)
        before = one.shared.weight.clone()
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(Peers(folder, 0, 2, 50, patience=2).meet(one, 50), 1)
            self.assertEqual(Peers(folder, 0, 2, 50).meet(one, 100, lambda: True), 1)
            torch.testing.assert_close(one.shared.weight, before)
            self.assertEqual(self.meet([one, other], folder, 150), [2, 2])
            self.assertTrue(torch.equal(one.shared.weight, other.shared.weight))
            self.assertFalse(torch.equal(one.shared.weight, before))
        with self.assertRaises(SystemExit):
            Peers(folder, 2, 2, 50)


class Text(unittest.TestCase):
    def test_held_out_packages_and_domains(self):
        for case in (("game", "wesnoth-1.18-httt", "x"), ("game", "wesnoth-1.18-data", "wesnoth-httt"),
                     ("ui", "any", "kleopatra"), ("ui", "epiphany-browser-data", "epiphany"), ("doc", "okular", "okular")):
            self.assertTrue(holdout.held_origin(*case), case)
        self.assertFalse(holdout.held_origin("game", "wesnoth-1.18-data", "wesnoth-lib"))

    def test_guard_knows_near_duplicates(self):
        guard = holdout.Guard([("Please select another directory or create it.", "Bitte wählen.")])
        self.assertTrue(guard.hits(holdout.key("Please select another directory or create it!"), "x"))
        self.assertTrue(guard.hits("something else", "bitte WÄHLEN"))
        self.assertFalse(guard.hits("something else", "x"))

    def test_accelerators(self):
        self.assertEqual(cleaning.without_accelerators("Page Set_up...", "Sei_te"), ("Page Setup...", "Seite"))
        self.assertEqual(cleaning.without_accelerators("use foo_bar", "foo_bar"), ("use foo_bar", "foo_bar"))

    def test_sentences_and_filters(self):
        self.assertEqual(cleaning.sentences("One, e.g. This. Two."), ["One, e.g. This.", "Two."])
        self.assertTrue(cleaning.acceptable("Open the file", "Öffnen Sie die Datei", "de"))
        self.assertFalse(cleaning.acceptable("Open the file %s", "Öffnen Sie die Datei", "de"))
        self.assertFalse(cleaning.acceptable("Open the file", "Open the file", "de"))

    def test_manual_pages_align_by_structure(self):
        english = b".SH NAME\nls \\- list\n.PP\nLists\n.B files\nhere.\n.nf\ncode\n.fi\n"
        german = ".SH NAME\nls \\- listet\n.PP\nListet\n.B Dateien\nauf.\n.nf\ncode\n.fi\n.SH X\nY\n".encode()
        found = list(sources.manuals({(None, "ls.1"): english, ("de", "ls.1"): german}))
        self.assertIn(("de", "ls.1", "Lists files here.", "Listet Dateien auf."), found)


if __name__ == "__main__":
    unittest.main()
