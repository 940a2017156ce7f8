"""Backbones by name, with weights from files that are read and never executed."""

import json
import os
import pickle
import re
import subprocess

import pytest
import torch
import warm
from safetensors.torch import save_file

from bitseek.errors import BitseekError, RunError
from bitseek.images import Preprocess
from bitseek.models import TORCHVISION, architecture, build_backbone, rebuild_backbone


def image_batch(backbone, n=2):
    side = backbone.preprocess.size
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


def test_the_models_own_preprocessing_travels_with_it():
    ours = build_backbone("mobilenetv2_100").preprocess
    assert ours == Preprocess(size=224, crop=0.875, interpolation="bicubic")
    changed = build_backbone("mobilenetv2_100", size=96, mean=0.5, std=0.5, interpolation="bilinear", pad_type="same")
    assert changed.preprocess == Preprocess(size=96, crop=0.875, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert changed.config.options == {"pad_type": "same"}
    assert build_backbone("vgg11_bn", size=32).preprocess.mean == Preprocess().mean and "vgg11_bn" in TORCHVISION


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
@pytest.mark.parametrize("form", ["safetensors", "pt", "wrapped"])
def test_weights_from_a_file(name, form, tmp_path):
    source = build_backbone(name, size=64, seed=1).eval()
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
        with pytest.raises(RunError, match="neither safetensors nor a plain state dict") as refused:
            build_backbone("resnet18", weights=tmp_path / name)
        assert "weights_only" not in str(refused.value)  # torch advises to switch that off
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


def test_without_a_network_the_error_is_quick_and_whole(tmp_path):
    """In a process of its own: whose hub is an address where nothing listens, and whose cache is empty."""
    code = """
import time
import timm
from bitseek.errors import RunError
from bitseek.models import build_backbone
started = time.monotonic()
try:
    build_backbone("resnet18", weights="pretrained")
except RunError as error:
    print(error)
assert time.monotonic() - started < 30
"""
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    command = [warm.python(), "-c", warm.ANEW + code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"the weights of resnet18 cannot be downloaded \(.*\); .* --weights FILE .* --weights none", done.stdout
    )
    assert "Retrying" not in done.stderr and "\n" not in done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "module", "function", "file"),
    [
        ("alexnet", "torchvision.models", "get_model", r"https://\S+/alexnet-\w+-\w+\.pth"),
        ("vgg16", "torchvision.models", "get_model", r"https://\S+/vgg16-\w+\.pth"),
        ("resnet50", "timm", "create_model", r"model\.safetensors of https://\S+/timm/resnet50\S*"),
    ],
)
def test_who_cannot_download_is_told_which_file_to_get(name, module, function, file, monkeypatch):
    def none(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(f"{module}.{function}", none)
    monkeypatch.setattr("bitseek.models._weights.unreachable", lambda repository: "no network")
    with pytest.raises(RunError, match=rf"; get {file} elsewhere and give --weights FILE"):
        build_backbone(name, weights="pretrained")


def test_the_random_state_is_left_alone_and_the_seed_decides():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (build_backbone("small-cnn", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert one.config.digest == same.config.digest != other.config.digest
    with pytest.raises(RunError):
        build_backbone("resnet19")
    assert torch.equal(torch.get_rng_state(), before)


def weights_file(tmp_path, name="resnet18", **metadata):
    state = {k: v.contiguous() for k, v in build_backbone(name, seed=3).network.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors", metadata=metadata or None)
    return tmp_path / "w.safetensors"


def test_settings_that_belong_to_a_weights_file_are_read_with_it(tmp_path):
    path = weights_file(tmp_path, bitseek=json.dumps({"mean": 0.5, "std": 0.25, "size": 96}))
    inside = build_backbone("resnet18", weights=path)
    assert inside.preprocess.mean == (0.5,) * 3 and inside.preprocess.size == 96
    path.with_name("w.safetensors.json").write_text(json.dumps({"mean": 0.1, "act_layer": "relu"}))
    beside = build_backbone("resnet18", weights=path, mean=0.2)
    assert beside.preprocess.mean == (0.2,) * 3 and beside.preprocess.std != (0.25,) * 3
    assert beside.config.options == {"act_layer": "relu"}
    path.with_name("w.safetensors.json").write_text("[1]")
    with pytest.raises(RunError, match="no JSON object"):
        build_backbone("resnet18", weights=path)


def test_a_configuration_gives_the_same_backbone_again(tmp_path):
    path = weights_file(tmp_path)
    built = build_backbone("resnet18", weights=path, size=48, mean=0.5)
    assert type(built.config)(**built.config.model_dump(mode="json")) == built.config
    again = rebuild_backbone(built.config)
    assert again.config == built.config
    empty = architecture(built.config)
    empty.load_state_dict(built.state_dict())
    images = image_batch(built)
    assert torch.equal(empty.eval()(images), again.eval()(images))
    random = build_backbone("small-cnn", seed=4)
    assert rebuild_backbone(random.config).config.digest == random.config.digest
    moved = path.rename(tmp_path / "moved.safetensors")
    with pytest.raises(RunError, match="no weights file"):
        rebuild_backbone(built.config)
    assert rebuild_backbone(built.config, moved).config.digest == built.config.digest
    other = {k: v.contiguous() + 1 for k, v in built.network.state_dict().items()}
    save_file(other, moved)
    with pytest.raises(RunError, match="not those that were used"):
        rebuild_backbone(built.config, moved)


def test_no_such_backbone_names_near_ones():
    with pytest.raises(RunError, match=r"no backbone 'resnet19'; .* bitseek backbones"):
        build_backbone("resnet19")
    with pytest.raises(RunError, match="does not take the options"):
        build_backbone("resnet18", no_such_option=3)
    with pytest.raises(RunError, match="small-cnn has no option 'depth'"):
        build_backbone("small-cnn", depth=3)
    with pytest.raises(BitseekError, match="size of Preprocess"):
        build_backbone("small-cnn", size=0)
    with pytest.raises(RunError, match="does not take images of 2 × 2"):
        build_backbone("vgg11", size=2)


def test_the_shared_weights_know_imagenet_sized_images(shared_data):
    path = shared_data / "weights" / "mobilenetv2_100.safetensors"
    backbone = build_backbone(
        "mobilenetv2_100", weights=path, size=64, pad_type="same", mean=0.5, std=0.5, interpolation="bilinear"
    )
    features = backbone.eval()(torch.stack([torch.full((3, 64, 64), value) for value in (-1.0, 1.0)]))
    assert features.shape == (2, 1280) and not torch.allclose(features[0], features[1])
