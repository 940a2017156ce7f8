"""A hasher without torch: torch's codes, no torch, and nothing read that is not in its file."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from bitseek.collection._encoder import Encoder
from bitseek.data import load_protocol
from bitseek.errors import BitseekError, ImageError, ShapeError
from bitseek.images import Preprocess
from bitseek.models import BatchNormHead, build_backbone
from bitseek.portable import LOGIT_BOUND, OnnxHasher, export_onnx
from bitseek.portable._onnx_file import Metadata, write_onnx
from bitseek.runs import Hasher

METADATA = Metadata(bits=4, fingerprint="0123456789abcdef+onnx", preprocess=Preprocess(size=2))


def flips_are_at_zero(torch_logits, onnx_logits):
    """The only bits that differ are those whose logit is next to zero; the number of them."""
    differ = (torch_logits >= 0) != (onnx_logits >= 0)
    assert np.all(np.abs(torch_logits[differ]) < LOGIT_BOUND * np.abs(torch_logits).mean())
    return int(differ.sum())


def test_the_codes_of_torch_on_digits(hasher, onnx_hasher, pixels):
    expected, logits = hasher.logits(pixels), onnx_hasher.logits(pixels)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=LOGIT_BOUND * np.abs(expected).mean())
    assert flips_are_at_zero(expected, logits) <= 2
    assert np.array_equal(onnx_hasher.encode(pixels).to_bits(), logits >= 0)


def test_the_codes_of_torch_on_cifar(real_data_root, tmp_path):
    images = load_protocol("cifar10-1", root=real_data_root).pool.images.array[:2000]
    backbone = build_backbone("small-cnn", seed=3)
    hasher = Hasher(backbone, BatchNormHead(backbone.features, 32), 32)
    assert flips_are_at_zero(hasher.logits(images), OnnxHasher(export_onnx(hasher, tmp_path / "a")).logits(images)) <= 2


def test_images_in_every_form_have_one_code(onnx_hasher, pixels, tmp_path):
    expected = onnx_hasher.logits(pixels[:5])
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, pixels, strict=False):
        Image.fromarray(image).save(path)
    for given in (
        paths, [str(path) for path in paths], list(pixels[:5]), [io.BytesIO(path.read_bytes()) for path in paths],
        np.repeat(pixels[:5, ..., None], 3, axis=3),
    ):  # fmt: skip
        np.testing.assert_allclose(onnx_hasher.logits(given, batch_size=2), expected, atol=1e-5)
    assert onnx_hasher.encode(pixels[0]) == onnx_hasher.encode(paths[0])


def test_none_one_and_those_that_cannot_be_read(onnx_hasher, pixels, tmp_path):
    assert len(onnx_hasher.encode([])) == 0 and onnx_hasher.encode([]).bits == 16
    assert onnx_hasher.logits([]).shape == (0, 16)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    given = [pixels[0], tmp_path / "bad.png", pixels[1], tmp_path / "absent.png"]
    unreadable = {}
    codes = onnx_hasher.encode(given, unreadable=unreadable)
    assert codes == onnx_hasher.encode(pixels[:2])
    assert unreadable.keys() == {1, 3} and "bad.png" in unreadable[1] and "absent.png" in unreadable[3]
    assert len(onnx_hasher.encode(given[1:2], unreadable={})) == 0
    with pytest.raises(ImageError, match=r"bad\.png"):
        onnx_hasher.encode(given)


def test_odd_input_is_refused_with_a_sentence(onnx_hasher, squares, unchecked):
    for bad in (np.zeros((3, 40, 40), np.float32), 7, [None], np.zeros(5, np.uint8)):
        with pytest.raises(BitseekError):
            onnx_hasher.encode(bad)
    with pytest.raises(ShapeError, match="takes images, not features"):
        onnx_hasher.encode(np.zeros((2, 256), np.float32))
    for bad in (squares[0], squares[:, :4], squares.astype(np.float32), squares[..., :1], np.zeros((0, 3), np.uint8)):
        with pytest.raises(ShapeError, match=r"takes squares \(n, 8, 8, 3\) of uint8"):
            onnx_hasher.logits_of(bad)
    for bad in ([[1]], "squares", None):
        with pytest.raises(ShapeError, match="squares"):
            onnx_hasher.logits_of(bad)
    with pytest.raises(BitseekError, match="batch_size=0"):
        onnx_hasher.encode(squares, batch_size=0)


def test_squares_in_batches_of_any_size(hasher, onnx_hasher, squares):
    for n in (0, 1, 9):
        assert onnx_hasher.logits_of(squares[:n]).shape == (n, 16)
        assert onnx_hasher.features_of(squares[:n]).shape == (n, 256)
    np.testing.assert_allclose(onnx_hasher.features_of(squares), hasher.features_of(squares), atol=1e-4)
    np.testing.assert_array_equal(onnx_hasher.logits_of(squares[::-1]), onnx_hasher.logits_of(squares[::-1].copy()))


def test_it_is_an_encoder_and_threads_may_share_it(hasher, onnx_hasher, squares):
    assert isinstance(onnx_hasher, Encoder) and isinstance(hasher, Encoder)
    expected = onnx_hasher.logits_of(squares)
    with ThreadPoolExecutor(4) as pool:
        for logits in pool.map(onnx_hasher.logits_of, [squares] * 40):
            np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_progress_and_threads(exported, pixels):
    seen = []
    hasher = OnnxHasher(exported, threads=1)
    hasher.encode(pixels[:10], batch_size=4, threads=2, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(4, 10), (8, 10), (10, 10)]
    with pytest.raises(ShapeError, match="threads=0"):
        OnnxHasher(exported, threads=0)


def test_it_is_one_line(onnx_hasher, int8):
    assert repr(onnx_hasher) == "OnnxHasher(orthohash on digits, float32, 8 px → 16 bits)"
    assert repr(OnnxHasher(int8)) == "OnnxHasher(orthohash on digits, int8, 8 px → 16 bits)"


def test_save_puts_it_where_load_finds_it(exported, onnx_hasher, squares, tmp_path):
    onnx_hasher.save(tmp_path / "model")
    assert (tmp_path / "model" / "model.onnx").read_bytes() == exported.read_bytes()
    onnx_hasher.save(tmp_path / "model")
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(exported.read_bytes())
    loaded = OnnxHasher(moved)
    moved.unlink()
    np.testing.assert_allclose(loaded.logits_of(squares), onnx_hasher.logits_of(squares), atol=1e-5)
    with pytest.raises(BitseekError, match=r"there is no file .*moved\.onnx"):
        loaded.save(tmp_path / "other")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "model.onnx").write_text("mine")
    with pytest.raises(BitseekError, match="is not an ONNX file of bitseek"):
        onnx_hasher.save(tmp_path / "taken")
    with pytest.raises(BitseekError, match="cannot make the folder"):
        onnx_hasher.save(exported)


def test_save_of_a_file_that_was_replaced(exported, int8, tmp_path):
    file = tmp_path / "a.onnx"
    file.write_bytes(exported.read_bytes())
    loaded = OnnxHasher(file)
    file.write_bytes(int8.read_bytes())
    with pytest.raises(BitseekError, match="was replaced since it was loaded"):
        loaded.save(tmp_path / "model")


def test_a_damaged_file_is_never_used(exported, tmp_path):
    content, file = exported.read_bytes(), tmp_path / "a.onnx"
    random = np.random.default_rng(0)
    for place in [0, 1, len(content) - 1, *random.integers(0, len(content), 60)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(random.integers(8))
        file.write_bytes(damaged)
        with pytest.raises(BitseekError, match=r"damaged|not an ONNX file"):
            OnnxHasher(file)
    for length in (0, 1, 40, 74, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(BitseekError, match="not an ONNX file"):
            OnnxHasher(file)
    with pytest.raises(BitseekError, match="there is no file"):
        OnnxHasher(tmp_path / "absent.onnx")
    with pytest.raises(BitseekError, match="cannot read"):
        OnnxHasher(tmp_path)


def graph(operator="Identity", weights=None, in_constant=False, domain=""):
    """A small graph of the right form: squares → logits, features; with other weights for the head perhaps."""
    squares = helper.make_tensor_value_info("squares", TensorProto.UINT8, ["n", 2, 2, 3])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("logits", "features")]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    rest = helper.make_tensor("rest", TensorProto.INT64, [2], [0, 2])
    nodes = [
        helper.make_node("Cast", ["squares"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
        helper.make_node("Concat", ["means", "means"], ["features"], axis=1),
    ]
    initializers = [axes, rest]
    if weights is None:
        nodes.append(helper.make_node(operator, ["features"], ["logits"], domain=domain))
    else:
        if in_constant:
            nodes.insert(0, helper.make_node("Constant", [], ["w"], value=weights))
        else:
            initializers.append(weights)
        nodes.append(helper.make_node("Add", ["features", "w"], ["logits"]))
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    made = helper.make_graph(nodes, "g", [squares], outputs, initializers)
    return helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString()


def outside(location, offset=0):
    """Weights that lie in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", 16)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def test_a_graph_of_the_right_form_is_used(tmp_path):
    """So that the refusals below are not for something else."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4], [1, 2, 3, 4])
    for content in (graph(), graph(weights=weights), graph(weights=weights, in_constant=True)):
        hasher = OnnxHasher(write_onnx(tmp_path / "a.onnx", content, METADATA))
        assert hasher.logits_of(np.ones((3, 2, 2, 3), np.uint8)).shape == (3, 4)


@pytest.mark.parametrize("in_constant", [False, True])
@pytest.mark.parametrize("kind", ["beside", "absolute", "above", "in the working folder", "memory"])
def test_no_other_file_and_no_memory_is_read(kind, in_constant, tmp_path, monkeypatch):
    secret = np.full(4, 7, np.float32)
    (tmp_path / "folder").mkdir()
    for place in (tmp_path, tmp_path / "folder"):
        (place / "secret.bin").write_bytes(secret.tobytes())
    monkeypatch.chdir(tmp_path)
    location, offset = {
        "beside": ("secret.bin", 0),
        "absolute": (str(tmp_path / "secret.bin"), 0),
        "above": ("../secret.bin", 0),
        "in the working folder": ("folder/secret.bin", 0),
        "memory": ("*/_ORT_MEM_ADDR_/*", secret.ctypes.data),
    }[kind]
    content = graph(weights=outside(location, offset), in_constant=in_constant)
    file = write_onnx(tmp_path / "folder" / "a.onnx", content, METADATA)
    with pytest.raises(BitseekError, match="onnxruntime refuses"):
        OnnxHasher(file)


def test_operators_of_others_are_refused(tmp_path):
    with pytest.raises(BitseekError, match="onnxruntime refuses"):
        OnnxHasher(write_onnx(tmp_path / "a.onnx", graph("Run", domain="com.example"), METADATA))


def test_a_graph_that_is_not_what_its_metadata_say(tmp_path):
    for number, metadata in enumerate([METADATA.changed(bits=5), METADATA.changed(preprocess=Preprocess(size=3))]):
        with pytest.raises(BitseekError, match="which is not what its metadata say"):
            OnnxHasher(write_onnx(tmp_path / f"{number}.onnx", graph(), metadata))
    model = onnx.load_from_string(graph())
    del model.graph.output[1]
    with pytest.raises(BitseekError, match="gives no features"):
        OnnxHasher(write_onnx(tmp_path / "a.onnx", model.SerializeToString(), METADATA))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("bits", "many", "metadata are damaged"),
        ("bits", "0", "bits of Metadata"),
        ("preprocess", '{"size": -1}', "Preprocess"),
        ("preprocess", "[", "metadata are damaged"),
        ("fingerprint", "x", "fingerprint of Metadata"),
        ("bits", None, "needs 'bits'"),
    ],
)
def test_metadata_that_are_none(name, value, sentence, tmp_path, monkeypatch):
    entries = METADATA.to_text() | {name: value}
    monkeypatch.setattr(Metadata, "to_text", lambda self: {k: v for k, v in entries.items() if v is not None})
    file = write_onnx(tmp_path / "a.onnx", graph(), METADATA)
    with pytest.raises(BitseekError, match=sentence):
        OnnxHasher(file)


def test_torch_is_never_imported(exported, int8, tmp_path):
    image = tmp_path / "a.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(image)
    program = f"""
import sys
for name in ("torch", "timm", "torchvision", "onnx", "onnxscript"):
    sys.modules[name] = None
import bitseek
import bitseek.portable
for file in ({str(exported)!r}, {str(int8)!r}):
    hasher = bitseek.load(file, threads=1)
    print(hasher.encode([{str(image)!r}]).hex()[0], repr(hasher))
    hasher.save({str(tmp_path / "kept")!r})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    codes = [OnnxHasher(file).encode([image]).hex()[0] for file in (exported, int8)]
    assert [line.split()[0] for line in done.stdout.splitlines()] == codes
