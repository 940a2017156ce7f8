"""Export: every head and every kind of backbone gives torch's logits, and the file holds what it must and no more."""

import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import bitseek
from bitseek.cli._open import BACKBONE
from bitseek.errors import BitseekError
from bitseek.methods import METHODS, Task, make_head
from bitseek.models import Backbone, BatchNormHead, build_backbone
from bitseek.portable import LOGIT_BOUND, OnnxHasher, export_onnx
from bitseek.portable._onnx_file import MOST_BYTES
from bitseek.runs import Hasher

TASK = Task(features=256, bits=12, classes=4, items=40)


def heads():
    """One method for each form of head that there is."""
    found = {}
    for name, method in METHODS.items():
        head = make_head(method, TASK, method.recipe_class())
        found.setdefault((type(head), str(head)), name)
    return sorted(found.values())


def shaken(module, seed=0):
    """The module with random buffers and parameters, as training leaves them: nothing is 0 or 1 any more."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.data.copy_(noise.abs() + 0.5 if name.endswith("running_var") else tensor + 0.1 * noise)
    return module


def compare(hasher, file, n=7, heads=("",)):
    """The file gives what the hasher gives; its logits are those of some heads, each as many as the others."""
    onnx_hasher = OnnxHasher(export_onnx(hasher, file))
    side = hasher.preprocess.size
    squares = np.random.default_rng(1).integers(0, 256, (n, side, side, 3), np.uint8)
    for part in (squares, squares[:1]):
        wanted, found = (np.split(one.logits_of(part), len(heads), axis=1) for one in (hasher, onnx_hasher))
        for head, logits, expected in zip(heads, found, wanted, strict=True):
            bound = LOGIT_BOUND * np.abs(expected).mean()
            np.testing.assert_allclose(logits, expected, rtol=0, atol=bound, err_msg=head)
            assert np.std(expected) > 0, head
        features = hasher.features_of(part)
        np.testing.assert_allclose(
            onnx_hasher.features_of(part), features, rtol=0, atol=LOGIT_BOUND * np.abs(features).mean()
        )


class SideBySide(nn.Module):
    """The logits of several heads."""

    def __init__(self, heads):
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, features):
        return torch.cat([head(features) for head in self.heads], dim=1)


def test_the_head_of_every_method(tmp_path):
    """In one file: an export takes a second, whatever it is of."""
    backbone, names = build_backbone("small-cnn", size=8), heads()
    torch.manual_seed(0)
    head = SideBySide([shaken(make_head(METHODS[name], TASK, METHODS[name].recipe_class())) for name in names])
    compare(Hasher(backbone, head, TASK.bits * len(names)), tmp_path / "a.onnx", heads=names)


def narrow(backbone):
    """AlexNet with short layers behind its convolutions: its own are 200 MB of the same kind."""
    network = backbone.network
    network.classifier[1], network.classifier[4] = nn.Linear(256 * 36, 20), nn.Linear(20, 24)
    return Backbone(network, backbone.config.model_copy(update={"features": 24}))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("small-cnn", {"size": 28, "mean": (0.1, 0.5, 0.7), "std": (0.2, 0.3, 0.9)}),
        ("test_efficientnet", {"size": 33, "pad_type": "same"}),
        ("test_resnet", {"size": 48}),
        ("alexnet", {"size": 64}),
    ],
)
def test_backbones(name, options, tmp_path):
    backbone = build_backbone(name, **options)
    backbone = narrow(backbone) if name == "alexnet" else backbone
    torch.manual_seed(0)
    compare(Hasher(backbone, BatchNormHead(backbone.features, 12), 12), tmp_path / "a.onnx", n=3)


def test_the_usual_backbone_with_its_weights(shared_data, tmp_path):
    """The network that `bitseek open` takes, as it is downloaded."""
    weights = shared_data / "weights" / f"{BACKBONE}.safetensors"
    if not weights.is_file():
        pytest.skip(f"the real weights are absent: {weights}")
    backbone = build_backbone(BACKBONE, weights=weights, size=64)
    torch.manual_seed(0)
    compare(Hasher(backbone, BatchNormHead(backbone.features, 12), 12), tmp_path / "a.onnx", n=3)


def test_an_earlier_export_is_replaced_and_nothing_else_changed_printed_or_logged(
    hasher, exported, tmp_path, capfd, caplog
):
    file = tmp_path / "a.onnx"
    file.write_bytes(exported.read_bytes())
    hasher.train()
    export_onnx(hasher, file)  # warnings are errors
    assert hasher.training
    hasher.eval()
    assert OnnxHasher(file).fingerprint == f"{hasher.fingerprint}+onnx"
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert capfd.readouterr() == ("", "") and not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_what_is_in_the_file(exported, hasher, digits):
    model = onnx.load(exported, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert entries.keys() == {
        "bitseek", "bits", "lengths", "prefix_of", "fingerprint", "preprocess", "config", "digest",
    }  # fmt: skip
    assert entries["bitseek"] == bitseek.__version__ and entries["bits"] == "16"
    assert entries["fingerprint"] == f"{hasher.fingerprint}+onnx"
    loaded = OnnxHasher(exported)
    assert loaded.preprocess == hasher.preprocess and loaded.bits == 16
    assert loaded.config == hasher.config.without_paths().model_dump(mode="json")
    shapes = [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in model.graph.input]
    assert shapes == [["n", 8, 8, 3]] and [value.name for value in model.graph.output] == ["logits", "features"]
    assert not any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)


def test_no_path_of_this_machine_is_in_the_file(exported):
    content = exported.read_bytes()
    for path in (Path(sys.prefix), Path(torch.__file__).parent, Path(bitseek.__file__).parent, Path.home()):
        assert bytes(path) not in content
    assert b".py" not in content


def test_the_file_of_somebody_else_is_not_replaced(hasher, exported, tmp_path):
    file = tmp_path / "a.onnx"
    model = onnx.load(exported)
    del model.metadata_props[:]
    for content in (b"mine", b"", model.SerializeToString(), exported.read_bytes()[:-1], exported.read_bytes() + b"x"):
        file.write_bytes(content)
        with pytest.raises(BitseekError, match="exists and is not an ONNX file of bitseek"):
            export_onnx(hasher, file)
        assert file.read_bytes() == content
    file.unlink()
    file.mkdir()
    with pytest.raises(BitseekError, match="exists and is not"):
        export_onnx(hasher, file)
    with pytest.raises(BitseekError, match="there is no folder"):
        export_onnx(hasher, tmp_path / "absent" / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_a_head_on_bare_features_is_refused(tmp_path):
    with pytest.raises(BitseekError, match="takes features, not images"):
        export_onnx(Hasher(None, BatchNormHead(12, 8), 8), tmp_path / "a.onnx")


def test_more_than_one_file_holds_is_refused(tmp_path):
    with torch.device("meta"):
        head = nn.Linear(256, MOST_BYTES // 1024)  # takes no memory
    hasher = Hasher(build_backbone("small-cnn", size=8), nn.Identity(), 8)
    hasher.head = head
    with pytest.raises(BitseekError, match=r"2\.0 GiB of weights, and an ONNX file holds 2 GiB"):
        export_onnx(hasher, tmp_path / "a.onnx")


class Odd(nn.Module):
    """A layer whose way depends on the values, which no graph can hold."""

    def forward(self, features):
        return features[:, :4] if features.sum() > 0 else -features[:, :4]


def test_a_layer_without_a_form_in_onnx_is_a_sentence(tmp_path):
    hasher = Hasher(build_backbone("small-cnn", size=8), Odd(), 4)
    with pytest.raises(BitseekError, match="cannot be exported to ONNX"):
        export_onnx(hasher, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
