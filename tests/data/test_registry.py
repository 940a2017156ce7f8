from pathlib import Path

import pytest

from bitseek.data import OWN_PROTOCOLS, PROTOCOLS, data_root, protocol
from bitseek.errors import DataError


def test_data_root(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BITSEEK_DATA", "/somewhere")
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    assert data_root("/given") == Path("/given") and data_root("~/x") == tmp_path / "x"
    assert data_root() == Path("/somewhere")
    monkeypatch.delenv("BITSEEK_DATA")
    assert data_root() == Path("/xdg/bitseek")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert data_root() == tmp_path / ".local/share/bitseek"


def test_the_environment_variable_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("BITSEEK_DATA", str(tmp_path / "here"))
    with pytest.raises(DataError, match=str(tmp_path / "here")):
        protocol("cub200")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar10", "did you mean cifar10-1, cifar10-2, "),
        ("coco", "did you mean coco-hashnet, coco-tl"),
        ("nuswide", "did you mean nuswide-21, nuswide-21-m, nuswide-81, nuswide-81-m"),
        ("minst", "did you mean mnist"),
        ("zzz", r"there are digits, .*folder:PATH, lists:PATH, features:FILE\.npz"),
        ("folder", "there is no protocol 'folder'"),
        ("folder:", "there is no protocol 'folder:'"),
        ("digits:x", "there is no protocol 'digits:x'"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(DataError, match=message):
        protocol(name)


def test_unknown_options():
    with pytest.raises(DataError, match="cifar10-1 has no option downlaod; its options: download"):
        protocol("cifar10-1", downlaod=False)
    with pytest.raises(DataError, match="digits has no option query; its options: none"):
        protocol("digits", query=3)
    assert OWN_PROTOCOLS["folder"].options == {"query": 0.1, "train": None, "at": None}


def test_negative_seed():
    pytest.importorskip("sklearn")
    with pytest.raises(DataError, match="a seed is 0 or more"):
        protocol("digits", seed=-1)


def test_every_spec_says_what_a_user_needs():
    for name, spec in (PROTOCOLS | OWN_PROTOCOLS).items():
        assert spec.name == name and spec.summary and spec.citation and spec.needs
        assert len(spec.summary) <= 120 and "\n" not in spec.summary
    assert set(PROTOCOLS) >= {
        "digits", "mnist", "cifar10-1", "cifar10-2", "cifar10-2-random", "cifar10-54k", "cifar10-ii", "cifar10-cib",
        "cifar10-dsh", "cifar100", "imagenet100", "nuswide-21", "nuswide-21-m", "nuswide-81", "nuswide-81-m",
        "coco-hashnet", "coco-tl", "mirflickr25k", "voc2012", "cub200", "dogs", "sop", "sop-12", "gldv2", "roxford5k",
        "rparis6k",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name != "digits"])
def test_absent_data_say_what_to_do(tmp_path, name):
    options = {"download": False} if "download" in PROTOCOLS[name].options else {}
    with pytest.raises(DataError, match=r"there is no file .*\. (Put|Unpack)") as caught:
        protocol(name, tmp_path / "absent", **options)
    assert str(tmp_path / "absent") in str(caught.value) and "ROOT" not in str(caught.value)
