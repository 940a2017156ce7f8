"""8 bits: the ranking that float32 gives, nearly; a fingerprint of its own; and odd input refused."""

import numpy as np
import onnx
import pytest

from bitseek.codes import Codes
from bitseek.errors import BitseekError
from bitseek.labels import Labels
from bitseek.portable import OnnxHasher, quantise, same_codes


def mean_average_precision(codes, labels, queries):
    """By the definition, with ties in the order of the database."""
    bits = codes.to_bits()
    found = []
    for query in queries:
        distance = (bits != bits[query]).sum(1)
        order = np.argsort(distance, kind="stable")
        relevant = labels[order[order != query]] == labels[query]
        found.append((np.cumsum(relevant) / np.arange(1, len(relevant) + 1))[relevant].mean())
    return np.mean(found)


def test_it_keeps_the_ranking(hasher, int8, pixels, digits):
    labels = Labels.of(digits.pool.labels).numbers
    queries = digits.query[::3]
    float32 = mean_average_precision(hasher.encode(pixels), labels, queries)
    small = mean_average_precision(OnnxHasher(int8).encode(pixels), labels, queries)
    assert float32 > 0.5
    assert small > float32 - 0.02
    differ = hasher.encode(pixels).to_bits() != OnnxHasher(int8).encode(pixels).to_bits()
    assert 0 < differ.mean() < 0.05


def test_it_is_in_8_bits_and_the_head_is_not(exported, int8):
    model = onnx.load(int8)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    weights = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in kinds]
    assert sum(kinds[node.input[0]] == onnx.TensorProto.INT8 for node in weights) >= 3
    (head,) = [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]
    assert kinds[head.input[1]] == onnx.TensorProto.FLOAT
    assert int8.stat().st_size < 0.5 * exported.stat().st_size
    assert not model.graph.node[0].metadata_props and b"ranges.json" not in int8.read_bytes()


def test_its_fingerprint_is_its_own(exported, int8, pixels, hasher, tmp_path):
    name = OnnxHasher(int8).fingerprint
    base, _, digits = name.partition("+int8-")
    assert base == hasher.fingerprint and len(digits) == 8 and int(digits, 16) >= 0
    again = OnnxHasher(quantise(exported, pixels[:50], tmp_path / "a.onnx", float_layers=1)).fingerprint
    assert again != name and again.startswith(f"{base}+int8-")
    assert same_codes(hasher.fingerprint, f"{base}+onnx") and same_codes(f"{base}+onnx", base)
    for other in (base, f"{base}+onnx", again):
        assert not same_codes(name, other) and not same_codes(other, name)
    assert same_codes(name, name) and not same_codes(base, "0" * 16)


def test_more_layers_in_float32_change_fewer_bits(exported, hasher, pixels, tmp_path):
    exact = hasher.encode(pixels)
    changed = []
    for layers in (0, 3, 99):
        file = quantise(exported, pixels[::20], tmp_path / "a.onnx", float_layers=layers)
        codes = OnnxHasher(file).encode(pixels)
        assert isinstance(codes, Codes)
        changed.append((codes.to_bits() != exact.to_bits()).mean())
    assert changed[0] >= changed[1] >= changed[2] and changed[0] > changed[2]


def test_odd_calibration(exported, int8, pixels, tmp_path):
    out = tmp_path / "a.onnx"
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    for images, sentence in (
        ([], "there is none that can be read"),
        ([bad], r"none that can be read: .*bad\.png"),
        (np.zeros((2, 256), np.float32), "on images, not on features"),
    ):
        with pytest.raises(BitseekError, match=sentence):
            quantise(exported, images, out)
    with pytest.raises(BitseekError, match="in 8 bits already"):
        quantise(int8, pixels, out)
    with pytest.raises(BitseekError, match="sample=0"):
        quantise(exported, pixels, out, sample=0)
    with pytest.raises(BitseekError, match="float_layers=-1"):
        quantise(exported, pixels, out, float_layers=-1)
    with pytest.raises(BitseekError, match="not an ONNX file of bitseek"):
        quantise(bad, pixels, out)
    with pytest.raises(BitseekError, match="exists and is not an ONNX file of bitseek"):
        quantise(exported, pixels, bad)
    assert not out.exists()
    assert OnnxHasher(quantise(exported, [bad, *pixels[:1]], out)).bits == 16


def test_nothing_is_printed_and_nothing_logged(exported, pixels, tmp_path, capfd, caplog):
    quantise(exported, pixels[:20], tmp_path / "a.onnx", float_layers=0)  # warnings are errors
    assert capfd.readouterr() == ("", "") and not caplog.records
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
