"""A packed moqe model -> a Hugging Face folder in f32: `python unpack.py MODEL OUT [--bases]`.

With --bases, experts that are added to bases stay apart from these, for `moqe pack --experts-from MODEL` with another
trunk; transformers does not know such a folder.

A second reader of the format, written from its description and not from src: what it decodes is what transformers is
asked about in shipped/. Every object and every block is checked against its sha256, and all padding must be zero.
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np
from safetensors.numpy import save_file

import bases

# The table that is written of its own only where it is to have another width than the embedding it is tied to.
LM_HEAD = "lm_head.weight"


def up(value: int, unit: int) -> int:
    """The least multiple of `unit` that is not below `value`."""
    return -(-value // unit) * unit


def codes(raw: np.ndarray, rows: int, bits: int) -> np.ndarray:
    """Bytes of codes -> [rows, padded columns].

    128-bit units of four words. Code i of a unit is in word i % 4 at bit `bits * (i // 4)`, so the steps of the
    shift are the slow axis inside a unit and the words the fast one.
    """
    if bits == 3:
        # Three units for 128 codes: two of their low two bits, one of their high bits, each half's beside the other's.
        units = raw.reshape(rows, -1, 3, 16)
        low = codes(np.ascontiguousarray(units[:, :, :2]).ravel(), rows, 2)
        high = codes(np.ascontiguousarray(units[:, :, 2]).ravel(), rows, 2).reshape(rows, -1, 1, 64)
        return low | np.concatenate([high & 1, high >> 1], axis=2).reshape(rows, -1) << 2
    words = raw.view("<u4").reshape(rows, -1, 1, 4)
    shifts = np.arange(0, 32, bits, dtype=np.uint32).reshape(1, 1, -1, 1)
    return ((words >> shifts) & np.uint32((1 << bits) - 1)).reshape(rows, -1)


# 16 levels that a 2-bit code picks from together with the three codes above it in its column.
TRELLIS = [-63, -32, -6, 16, -44, -18, 3, 27, -27, -3, 18, 44, -16, 6, 32, 63]


def trellis_index(code: np.ndarray) -> np.ndarray:
    """2-bit codes [rows, padded] -> indices of levels: the upper two bits are those of the row above, exclusive or the
    swapped bits of the two rows above that one."""
    above = [np.vstack([np.zeros_like(code[:back]), code[:-back]])[: len(code)] for back in (1, 2, 3)]
    both = above[1] ^ above[2]
    return code | (above[0] ^ (both >> 1 | both << 1 & 2)) << 2


def unrotated(rows: np.ndarray) -> np.ndarray:
    """[rows, cols] f32 out of the basis of src/base/rotation.ts: a Hadamard transform of each block, then signs."""
    cols = rows.shape[1]
    block = min(1024, cols & -cols)
    index = np.arange(1, cols + 1, dtype=np.uint64)
    hashed = index * 0x9E3779B1 & 0xFFFFFFFF
    hashed = (hashed ^ hashed >> np.uint64(15)) * 0x85EBCA77 & 0xFFFFFFFF
    signs = np.where((hashed ^ hashed >> np.uint64(13)) & np.uint64(1), -1.0, 1.0)
    hadamard = np.ones((1, 1))
    while len(hadamard) < block:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    turned = rows.astype(np.float64).reshape(len(rows), -1, block) @ hadamard
    return (turned.reshape(rows.shape) * signs / np.sqrt(block)).astype(np.float32)


class Matrix:
    """Where the sections of a matrix [rows, cols] lie: sizes in bytes of its codes and of its scales."""

    def __init__(self, rows: int, cols: int, form: dict):
        self.rows, self.cols, self.form = rows, cols, form
        bits, group = form["bits"], form["group"]
        coded = bits < 16
        self.padded = up(cols, max(128 if bits == 3 else 64, group) if coded else 128 // bits)
        self.groups = 0 if not coded else self.padded // group if group else 1
        self.codes_bytes = rows * self.padded * bits // 8
        self.scales_bytes = up(rows * self.groups * 2, 16)

    def decode(self, raw_codes: bytes, raw_scales: bytes) -> np.ndarray:
        """Both sections -> f32 [rows, cols]: scale * (code - zero), or scale * levels[code] or of the trellis."""
        raw = np.frombuffer(raw_codes, np.uint8)
        bits = self.form["bits"]
        if bits >= 16:
            whole = raw.view("<f4" if bits == 32 else "<f2").reshape(self.rows, self.padded)
            assert not whole[:, self.cols:].any(), "padding must be zero"
            return np.ascontiguousarray(whole[:, : self.cols], np.float32)
        code = codes(raw, self.rows, bits)
        assert not code[:, self.cols:].any(), "padded codes must be zero"
        halves = np.frombuffer(raw_scales, "<f2")
        count = self.rows * self.groups
        assert not halves[count:].any(), "padding of scales must be zero"
        scale = halves[:count].astype(np.float32).reshape(self.rows, self.groups)
        scale = np.repeat(scale, self.padded // self.groups, axis=1)
        levels = self.form.get("levels")
        if self.form.get("trellis"):
            code, levels = trellis_index(code), TRELLIS
        # Exact in f32: a scale has 11 significant bits, a level 8 at most.
        level = code.astype(np.float32) - np.float32(self.form["zero"]) if levels is None else np.float32(levels)[code]
        decoded = np.ascontiguousarray((scale * level)[:, : self.cols])
        return unrotated(decoded) if self.form.get("rotated") else decoded


class Packed:
    """A packed model's folder; reads only what its manifest says and what its hashes confirm."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.text = (folder / "manifest.json").read_bytes()
        self.manifest = json.loads(self.text)
        assert (self.manifest["format"], self.manifest["version"]) == ("moqe", 1)
        self.objects = [self.object(o) for o in self.manifest["objects"]]

    def object(self, entry: dict) -> bytes:
        """All bytes of an object, whose name is their sha256. Small models only: this holds the whole model."""
        raw = (self.folder / entry["name"]).read_bytes()
        assert len(raw) == entry["bytes"], f"{entry['name']} has {len(raw)} bytes"
        assert hashlib.sha256(raw).hexdigest() == entry["name"].split(".")[0], f"{entry['name']} is damaged"
        return raw

    def block(self, ref: dict) -> bytes:
        """The bytes of a block."""
        raw = self.objects[ref["object"]][ref["offset"]:ref["offset"] + ref["length"]]
        assert hashlib.sha256(raw).hexdigest() == ref["sha256"], f"block {ref} is damaged"
        return raw

    def trunk(self, tensor: dict) -> np.ndarray:
        """A trunk tensor, f32 in its shape: its blocks end to end are its codes, then its scales."""
        shape = tensor["shape"]
        raw = b"".join(self.block(ref) for ref in tensor["blocks"])
        rows, cols = shape if len(shape) == 2 else (1, shape[0])
        matrix = Matrix(rows, cols, self.manifest["formats"][tensor["format"]])
        assert len(raw) == matrix.codes_bytes + matrix.scales_bytes, f"{tensor['name']} has {len(raw)} bytes"
        return matrix.decode(raw[: matrix.codes_bytes], raw[matrix.codes_bytes:]).reshape(shape)

    def expert(self, entry: dict, d_model: int, d_ff: int) -> dict[str, np.ndarray]:
        """An expert's four tensors. Its block: all codes, all scales, all biases, each at a multiple of 16."""
        raw, form = self.block(entry["block"]), self.manifest["formats"][entry["format"]]
        matrices = {"fc1": Matrix(d_ff, d_model, form), "fc2": Matrix(d_model, d_ff, form)}
        at, tensors = 0, {}

        def take(size: int) -> bytes:
            nonlocal at
            start, at = at, up(at + size, 16)
            assert not any(raw[start + size:at]), "padding must be zero"
            return raw[start:start + size]

        all_codes = [take(m.codes_bytes) for m in matrices.values()]
        all_scales = [take(m.scales_bytes) for m in matrices.values()]
        for (name, m), some_codes, some_scales in zip(matrices.items(), all_codes, all_scales):
            tensors[f"{name}.weight"] = m.decode(some_codes, some_scales)
        for name, m in matrices.items():
            tensors[f"{name}.bias"] = np.frombuffer(take(m.rows * 4), "<f4").copy()
        assert len(raw) == up(at, 256) and not any(raw[at:]), "a block is padded to 256 bytes of zero"
        return tensors

    def tensors(self, apart: bool = False) -> dict[str, np.ndarray]:
        """Everything by transformers' names; `apart`: experts without the bases that they are added to."""
        config = self.manifest["config"]
        found = {f"model.{t['name']}": self.trunk(t) for t in self.manifest["trunk"] if t["name"] != LM_HEAD}
        for tensor in self.manifest["trunk"]:
            if tensor["name"] == LM_HEAD:
                assert not config.get("tie_word_embeddings", True), "transformers has one tied table, the model two"
                found[LM_HEAD] = self.trunk(tensor)
        for layer in self.manifest["expertLayers"]:
            base = f"model.{layer['stack']}.layers.{layer['layer']}.ffn.experts.expert_"
            d_ff = config[f"{layer['stack']}_ffn_dim"]
            for i, entry in enumerate(layer["experts"]):
                parts = self.expert(entry, config["d_model"], d_ff)
                found.update({f"{base}{i}.{name}": value for name, value in parts.items()})
        return found if apart else bases.join(found, config.get("expert_bases", 0))


def unpack(model: pathlib.Path, out: pathlib.Path, apart: bool = False) -> None:
    """Writes the folder; `moqe.json` in it says of which model it is, and for which pairs."""
    packed = Packed(model)
    out.mkdir(parents=True, exist_ok=True)
    config = {**packed.manifest["config"], "torch_dtype": "float32"}
    if not apart:
        config.pop("expert_bases", None)
    tokenizer = packed.manifest["tokenizer"]
    for name, value in [
        ("config.json", config),
        ("generation_config.json", packed.manifest["generation"]),
        ("tokenizer_config.json", tokenizer["config"]),
    ]:
        (out / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    (out / "tokenizer.json").write_bytes(packed.block(tokenizer["block"]))
    about = {"name": packed.manifest["name"], "pairs": packed.manifest["pairs"],
             "manifest_sha256": hashlib.sha256(packed.text).hexdigest()}
    (out / "moqe.json").write_text(json.dumps(about, indent=1) + "\n")
    save_file(packed.tensors(apart), out / "model.safetensors", metadata={"format": "pt"})


def confirm(out: pathlib.Path) -> int:
    """transformers must find every weight it has in the folder, and no other. Returns how many there are."""
    from transformers import AutoModelForSeq2SeqLM

    model, info = AutoModelForSeq2SeqLM.from_pretrained(out, output_loading_info=True)
    for problem in ["missing_keys", "unexpected_keys", "mismatched_keys"]:
        assert not info[problem], f"{problem}: {info[problem]}"
    return sum(p.numel() for p in model.parameters())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--bases", action="store_true", help="leave experts apart from the bases they are added to")
    arguments = parser.parse_args()
    unpack(arguments.model, arguments.out, arguments.bases)
    found = "" if arguments.bases else f"{confirm(arguments.out):,} parameters, "
    print(f"{arguments.out}: {found}every hash right")
