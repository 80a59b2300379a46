"""What a trellis code at 2.0 bits would give on one real expert matrix, beside scalar codes of the same width:

    python trellis.py CHECKPOINT CALIBRATION HELD_OUT [LAYER EXPERT]

A code of 2 bits a weight shifts into a state of L bits, and a hash of the state is the weight (after QTIP, arXiv
2406.11235): no table, 2.0 bits. Viterbi finds the codes. Prints the relative error of fc1's weights and, on rows that
the calibration did not see, of its outputs, each row weighed by the expert's squared share. `gptq` feeds each column's
error to those left; a trellis then runs down the column, a piece of 128 rows at a time. `search` keeps several codings of
a row, each with its own errors fed on, so that a trellis may run along the row: four of them, one a lane of a kernel,
whose states are 2 or 6 earlier bits and whose levels are 16, picked by the code and by bits of the state (a byte
shuffle decodes them). The first rows alone are searched.
"""

import itertools
import json
import pathlib
import struct
import sys

import numpy as np
import torch
from safetensors import safe_open

LLOYD = np.array([-1.51, -0.4528, 0.4528, 1.51])
PIECE = 128
# Rows that are searched: each step sorts every row's codings.
SEARCHED = 192


def rows_of(path: pathlib.Path, layer: int, expert: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [n, cols] of one expert in a calibration file, and their squared shares."""
    data = path.read_bytes()
    (length,) = struct.unpack("<I", data[-4:])
    header = json.loads(data[-4 - length : -4])
    at = 0
    for i, l in enumerate(header["layers"]):
        size = 4 + 2 * l["cols"]
        if i == layer:
            start = at + expert * header["samples"] * size
            n = min(l["seen"][expert], header["samples"])
            records = np.frombuffer(data[start : start + n * size], np.uint8).reshape(n, size)
            x = records[:, 4:].copy().view(np.float16).astype(np.float64)
            return x, records[:, :4].copy().view(np.float32)[:, 0].astype(np.float64) ** 2
        at += len(l["seen"]) * header["samples"] * size
    raise IndexError(layer)


def rotation(cols: int) -> np.ndarray:
    """src/base/rotation.ts for a power of two up to 1024."""
    h = np.ones((1, 1))
    while len(h) < cols:
        h = np.block([[h, h], [h, -h]])
    i = (np.arange(cols, dtype=np.uint64) + 1) * 0x9E3779B1 & 0xFFFFFFFF
    i ^= i >> 15
    i = i * 0x85EBCA77 & 0xFFFFFFFF
    i ^= i >> 13
    return h * np.where(i & 1, -1.0, 1.0) / np.sqrt(cols)


def codebook(bits: int) -> torch.Tensor:
    """The computed value of every state: four bytes of a hash, summed, of unit variance."""
    h = (np.arange(2**bits, dtype=np.uint64) * 34038481 + 76625530) & 0xFFFFFFFF
    total = sum((h >> 8 * k & 255).astype(np.float64) for k in range(4))
    return torch.tensor((total - total.mean()) / total.std(), dtype=torch.float32)


def viterbi(x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """x [sequences, steps] to the nearest paths; the first state is any whose older bits are zero."""
    n, steps = x.shape
    states = len(values)
    cost = torch.full((n, states), 1e9)
    cost[:, 0] = 0
    came = torch.empty((steps, n, states // 4), dtype=torch.uint8)
    for t in range(steps):
        # State s' = 4 j + b comes from the four states k * states / 4 + j.
        best, k = cost.view(n, 4, -1).min(dim=1)
        came[t] = k.to(torch.uint8)
        cost = (best[:, :, None] + (x[:, t, None, None] - values.view(1, -1, 4)) ** 2).reshape(n, states)
    state = cost.argmin(dim=1)
    out = torch.empty_like(x)
    for t in range(steps - 1, -1, -1):
        out[:, t] = values[state]
        j = state // 4
        state = came[t][torch.arange(n), j].long() * (states // 4) + j
    return out


def nearest(x: torch.Tensor, values: np.ndarray) -> torch.Tensor:
    levels = torch.tensor(values, dtype=torch.float32)
    return levels[(x[..., None] - levels).abs().argmin(dim=-1)]


def coder(name: str):
    if name == "lloyd":
        return lambda x: nearest(x, LLOYD)
    values = codebook(int(name))
    return lambda x: viterbi(x, values)


def by_rows(w: np.ndarray, code) -> np.ndarray:
    scale = w.std(axis=1, keepdims=True)
    return code(torch.tensor(w / scale, dtype=torch.float32)).double().numpy() * scale


def by_columns(w: np.ndarray, h: np.ndarray, code) -> np.ndarray:
    """GPTQ over columns, most weight first; each column is coded in pieces of its rows."""
    scale = w.std(axis=1, keepdims=True)
    order = np.argsort(-np.diag(h), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(h[np.ix_(order, order)])).T
    left, out = (w / scale)[:, order].copy(), np.empty_like(w)
    for j in range(w.shape[1]):
        column = torch.tensor(left[:, j], dtype=torch.float32).view(-1, PIECE)
        got = code(column).double().numpy().reshape(-1)
        out[:, order[j]] = got * scale[:, 0]
        left[:, j + 1 :] -= np.outer((left[:, j] - got) / upper[j, j], upper[j, j + 1 :])
    return out


def picked(terms: tuple[int, ...], memory: int) -> tuple[torch.Tensor, torch.Tensor]:
    """[states, 4]: the level of each code, whose upper bits are the exclusive or of the word shifted by `terms`; the next state."""
    state, code = torch.arange(4**memory)[:, None], torch.arange(4)[None, :]
    word = code << 2 * memory
    for i in range(memory):
        word = word | (state >> 2 * i & 3) << 2 * (memory - 1 - i)
    upper = torch.zeros_like(word)
    for a in terms:
        upper = upper ^ word << a
    return code | (upper >> 2 * memory & 3) << 2, (state << 2 | code) & 4**memory - 1


def gaussian_levels(level: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """16 levels for a Gaussian by Lloyd's iteration over searched rows, from the best of some orders."""
    x = torch.randn((150, 64), generator=torch.Generator().manual_seed(0)).double().numpy()
    even = torch.distributions.Normal(0, 1).icdf((torch.arange(16) + 0.5) / 16) * 1.15
    best = (1e9, even)
    for order in list(itertools.permutations(range(4)))[:8]:
        levels = torch.zeros(16)
        for j in range(16):
            levels[j // 4 | order[j % 4] << 2] = even[j]
        for _ in range(6):
            at = search(x, np.eye(64), np.ones_like(x), (level, after), levels, 32)
            error = ((levels.numpy()[at] - x) ** 2).mean()
            if error < best[0]:
                best = (error, levels)
            levels = torch.tensor([x[at == i].mean() if (at == i).any() else levels[i] for i in range(16)], dtype=torch.float32)
    return best[1]


def search(w: np.ndarray, h: np.ndarray, scale: np.ndarray, code, levels: torch.Tensor, survivors: int) -> np.ndarray:
    """Indices of levels [rows, cols]: GPTQ along every row at once, the `survivors` codings of least error kept."""
    level, after = code
    rows, cols = w.shape
    upper = torch.tensor(np.linalg.cholesky(np.linalg.inv(h)).T, dtype=torch.float32)
    left = torch.tensor(w, dtype=torch.float32)[:, None].clone()
    scale = torch.tensor(scale, dtype=torch.float32)
    cost, state = torch.zeros((rows, 1)), torch.zeros((rows, 1, 4), dtype=torch.long)
    taken, each = torch.zeros((rows, 1, cols), dtype=torch.uint8), torch.arange(rows)[:, None]
    for j in range(cols):
        lane = state[:, :, j % 4]
        error = (left[:, :, j, None] - levels[level[lane]] * scale[:, j, None, None]) / upper[j, j]
        all_costs = (cost[:, :, None] + error**2).reshape(rows, -1)
        cost, at = all_costs.topk(min(survivors, all_costs.shape[1]), dim=1, largest=False)
        from_, c = at // 4, at % 4
        left, taken, state = left[each, from_], taken[each, from_], state[each, from_]
        left[:, :, j + 1 :] -= error.reshape(rows, -1).gather(1, at)[:, :, None] * upper[j, j + 1 :]
        lane = state[:, :, j % 4]
        taken[:, :, j] = level[lane, c].to(torch.uint8)
        state[:, :, j % 4] = after[lane, c]
    return taken[torch.arange(rows), cost.argmin(1)].long().numpy()


def coding(which: str):
    """A code as `picked` has it, and its levels."""
    if which == "scalar":
        return (torch.arange(4)[None], torch.zeros((1, 4), dtype=torch.long)), torch.tensor(LLOYD, dtype=torch.float32)
    code = picked((2,), 1) if which == "4 states" else picked((2, 5, 7), 3)
    return code, gaussian_levels(*code)


def searched(w: np.ndarray, h: np.ndarray, code, levels: torch.Tensor, survivors: int) -> np.ndarray:
    """Codes, then the row's scale of least error for them, then codes again."""
    scale = np.broadcast_to(w.std(axis=1, keepdims=True), w.shape)
    for _ in range(3):
        q = levels.numpy()[search(w, h, scale, code, levels, survivors)].astype(np.float64)
        qh = q @ h
        scale = np.broadcast_to(((qh * w).sum(1) / (qh * q).sum(1))[:, None], w.shape)
    return q * scale


def main() -> None:
    checkpoint, calibration, held = map(pathlib.Path, sys.argv[1:4])
    layer, expert = (int(a) for a in sys.argv[4:6]) if len(sys.argv) > 5 else (0, 0)
    torch.set_num_threads(1)
    header = json.loads(calibration.read_bytes()[-70000:].split(b'{"format"')[-1].join([b'{"format"', b""])[:-4])
    at = header["layers"][layer]
    with safe_open(checkpoint / "model.safetensors", "pt") as file:
        name = next(k for k in file.keys() if f"{at['stack']}.layers.{at['layer']}.ffn.experts.expert_{expert}.fc1.weight" in k)
        w = file.get_tensor(name).double().numpy()
    r = rotation(w.shape[1])
    w = w @ r.T
    x, share = rows_of(calibration, layer, expert)
    x = x @ r.T
    h = (x * share[:, None]).T @ x / share.sum()
    h += 0.01 * np.trace(h) / len(h) * np.eye(len(h))
    fresh, fresh_share = rows_of(held, layer, expert)
    fresh = fresh @ r.T * np.sqrt(fresh_share)[:, None]
    due = fresh @ w.T

    def outputs(got: np.ndarray) -> float:
        """Relative error of the first rows' outputs, as many as there are."""
        part = due[:, : len(got)]
        return ((fresh @ got.T - part) ** 2).sum() / (part**2).sum()

    print(f"{name} {list(w.shape)}, rotated")
    for kind, run in (("nearest", lambda code: by_rows(w, code)), ("gptq", lambda code: by_columns(w, h, code))):
        for which in ("lloyd", "8", "10", "12"):
            got = run(coder(which))
            weights = ((got - w) ** 2).sum() / (w**2).sum()
            label = "Lloyd-Max" if which == "lloyd" else f"trellis, 2^{which} states"
            print(f"{kind:8} {label:22} weights {weights:.4f}  outputs {outputs(got):.4f}", flush=True)
    for which, kept in (("scalar", (1, 16, 64)), ("4 states", (16, 64)), ("64 states", (64,))):
        code, levels = coding(which)
        for survivors in kept:
            got = searched(w[:SEARCHED], h, code, levels, survivors)
            print(f"search   {which}, {survivors} kept  outputs {outputs(got):.4f}", flush=True)


if __name__ == "__main__":
    main()
