"""Backbones by name, with weights from files that are read and never executed."""

import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bitseek.errors import RunError
from bitseek.models import Hasher, Transform, build_backbone
from bitseek.models.backbone import TORCHVISION


def image_batch(backbone, n=2):
    side = backbone.transform.size
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name, size, features",
    [("small-cnn", 28, 256), ("alexnet", 64, 4096), ("resnet18", 32, 512), ("mobilenetv2_100", 32, 1280),
     ("vit_tiny_patch16_224", 32, 192)],
)  # fmt: skip
def test_features_have_the_length_that_is_told(name, size, features):
    backbone = build_backbone(name, size=size).eval()
    assert backbone.features == features
    assert backbone(image_batch(backbone)).shape == (2, features)


def test_the_models_own_transform_travels_with_it():
    ours = build_backbone("mobilenetv2_100").transform
    assert ours == Transform(size=224, crop=0.875, interpolation="bicubic")
    changed = build_backbone("mobilenetv2_100", size=96, mean=0.5, std=0.5, interpolation="bilinear", pad_type="same")
    assert changed.transform == Transform(size=96, crop=0.875, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert changed.options == {"pad_type": "same"}
    assert build_backbone("vgg11_bn", size=32).transform.mean == Transform().mean and "vgg11_bn" in TORCHVISION


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
@pytest.mark.parametrize("form", ["safetensors", "pt", "wrapped"])
def test_weights_from_a_file(name, form, tmp_path):
    torch.manual_seed(1)
    source = build_backbone(name, size=64).eval()
    state = {key: value.contiguous() for key, value in source.network.state_dict().items()}
    head = {"resnet18": "fc.weight", "alexnet": "classifier.6.weight"}[name]
    state[head] = torch.zeros(1000, 4)  # the classifier of the file is left out
    path = tmp_path / f"weights.{form}"
    if form == "safetensors":
        save_file(state, path)
    else:
        torch.save(state if form == "pt" else {"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    loaded = build_backbone(name, weights=path, size=64).eval()
    assert torch.equal(loaded(image_batch(loaded)), source(image_batch(source)))


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_a_file_of_weights_is_never_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"state_dict": Evil()}, tmp_path / "evil2.pt")
    for name in ("evil.pt", "evil2.pt"):
        with pytest.raises(RunError, match="neither safetensors nor a plain state dict"):
            build_backbone("resnet18", weights=tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_weights_that_do_not_fit_say_so(tmp_path):
    state = {key: value.contiguous() for key, value in build_backbone("small-cnn").network.state_dict().items()}
    first = next(iter(state))
    for change, message in (
        ({first: torch.zeros(3)}, "of another shape"),
        ({"extra": torch.zeros(1)}, "1 unknown"),
    ):
        save_file(state | change, tmp_path / "w.safetensors")
        with pytest.raises(RunError, match=message):
            build_backbone("small-cnn", weights=tmp_path / "w.safetensors")
    save_file({k: v for k, v in state.items() if k != first}, tmp_path / "w.safetensors")
    with pytest.raises(RunError, match=f"1 missing .such as {first}"):
        build_backbone("small-cnn", weights=tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(RunError, match="neither"):
        build_backbone("small-cnn", weights=tmp_path / "w.safetensors")
    with pytest.raises(RunError, match="no weights file"):
        build_backbone("small-cnn", weights=tmp_path / "absent.safetensors")


def test_without_a_network_the_error_says_what_to_do(monkeypatch):
    import timm

    def offline(*_, **__):
        raise OSError("cannot reach the hub")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(RunError, match=r"cannot be downloaded .* --weights FILE"):
        build_backbone("resnet18", weights="pretrained")


def test_no_such_backbone_names_near_ones():
    with pytest.raises(RunError, match=r"no backbone 'resnet19'; .* bitseek backbones"):
        build_backbone("resnet19")
    with pytest.raises(RunError, match="does not take the options"):
        build_backbone("resnet18", no_such_option=3)


def test_the_shared_weights_know_imagenet_sized_images(shared_data):
    path = shared_data / "weights" / "mobilenetv2_100.safetensors"
    backbone = build_backbone(
        "mobilenetv2_100", weights=path, size=64, pad_type="same", mean=0.5, std=0.5, interpolation="bilinear"
    )
    hasher = Hasher(backbone, torch.nn.Linear(1280, 8), 8)
    codes = hasher.encode([np.zeros((70, 90, 3), np.uint8), np.full((64, 64), 255, np.uint8)])
    assert len(codes) == 2 and codes[0] != codes[1]


def test_a_code_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    hasher = Hasher(build_backbone("small-cnn"), torch.nn.Linear(256, 32), 32)
    images = list(np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8))
    together = hasher.logits(images)
    one_by_one = np.concatenate([hasher.logits([image]) for image in images])
    assert np.allclose(together, one_by_one, atol=1e-5)
    assert len(hasher.encode([])) == 0 and len(hasher.encode([]).words) == 0
