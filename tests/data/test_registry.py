import dataclasses
import inspect
import json

import numpy as np
import pytest
from PIL import Image

from bitseek.data import OWN_PROTOCOLS, PROTOCOLS, Origin, data_root, load_protocol
from bitseek.errors import BitseekError, DataError


def test_the_environment_variable_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("BITSEEK_DATA", str(tmp_path / "here"))
    with pytest.raises(DataError, match=str(tmp_path / "here")):
        load_protocol("cub200")


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
        load_protocol(name)


def test_unknown_options():
    with pytest.raises(DataError, match="cifar10-1 has no option downlaod; its options: download"):
        load_protocol("cifar10-1", downlaod=False)
    with pytest.raises(DataError, match="digits has no option query; its options: none"):
        load_protocol("digits", query=3)
    assert OWN_PROTOCOLS["folder"].options == {"query": 0.1, "train": None, "k": None, "split": "auto"}


def test_negative_seed():
    pytest.importorskip("sklearn")
    with pytest.raises(BitseekError, match="seed is a whole number of 0 or more"):
        load_protocol("digits", seed=-1)


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
        load_protocol(name, tmp_path / "absent", **options)
    assert str(tmp_path / "absent") in str(caught.value) and "ROOT" not in str(caught.value)


@pytest.mark.parametrize("name", [*PROTOCOLS, *OWN_PROTOCOLS])
def test_every_loader_is_there_and_declares_its_options(name):
    spec = (PROTOCOLS | OWN_PROTOCOLS)[name]
    assert spec.checked(spec.options) == spec.options  # defaults are of the declared types
    for option in spec.options:
        with pytest.raises(DataError, match=f"the option {option} of {name} cannot be"):
            spec.checked({option: object()})


def test_options_are_checked_and_paths_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    checked = PROTOCOLS["voc2012"].checked({"lists": "here", "images": "~/there", "check_images": "false"})
    assert checked == {"lists": tmp_path / "here", "images": tmp_path / "home" / "there", "check_images": False}
    assert OWN_PROTOCOLS["folder"].checked({"k": "5", "query": "0.5", "train": 3}) == {"k": 5, "query": 0.5, "train": 3}


@pytest.mark.parametrize("seed", [-1, True, 1.0, np.nan, "1", None])
def test_odd_seeds(seed):
    with pytest.raises(BitseekError, match="seed is a whole number of 0 or more"):
        inspect.unwrap(load_protocol)("digits", seed=seed)


def test_a_seed_of_numpy():
    pytest.importorskip("sklearn")
    split = load_protocol("digits", seed=np.int64(3))
    assert split.origin == Origin("digits", seed=3) and type(split.origin.seed) is type(split.seed) is int
    assert split.checksum == load_protocol("digits", seed=3).checksum != load_protocol("digits").checksum


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The user's own data in the working folder: images, lists of them, and features."""
    (tmp_path / "images" / "a").mkdir(parents=True)
    names = [f"a/{i}.png" for i in range(4)]
    for name in names:
        Image.new("RGB", (2, 2)).save(tmp_path / "images" / name)
    (tmp_path / "lists").mkdir()
    for role, chosen in (("train", names[:2]), ("test", names[2:3]), ("database", names[3:])):
        (tmp_path / "lists" / f"{role}.txt").write_text("".join(f"{name} 0\n" for name in chosen))
    roles = {"train": np.arange(2), "query": np.array([2]), "database": np.array([3])}
    np.savez(tmp_path / "f.npz", features=np.ones((4, 2)), labels=np.zeros(4, int), **roles)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "root", "options"),
    [
        ("folder:images", None, {"query": 1, "k": 2}),
        ("folder:~/images", None, {}),
        ("lists:lists", "images", {}),
        ("lists:~/lists", "~/images", {"k": 3}),
        ("lists:images/../lists", "./images", {}),
        ("features:f.npz", None, {}),
    ],
)
def test_an_origin_loads_the_same_from_any_folder(own, tmp_path_factory, monkeypatch, name, root, options):
    """Bug 12: the folder of the images was not kept, and paths were relative to the working folder."""
    split = load_protocol(name, root, seed=4, **options)
    origin = split.origin
    assert Origin(**json.loads(json.dumps(dataclasses.asdict(origin)))) == origin
    kind, _, path = origin.name.partition(":")
    assert path.startswith(str(own)) and kind == name.partition(":")[0] and ".." not in path
    assert origin.root == (None if root is None else str(own / "images")) and origin.options == options
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv("HOME", "/nowhere")
    again = origin.load()
    assert again.checksum == split.checksum and again.origin == origin and again.name == split.name
    np.testing.assert_array_equal(again.pool.item_hashes(), split.pool.item_hashes())


def test_images_are_the_same_items_by_folder_and_by_lists(own):
    by_lists, by_folder = load_protocol("lists:lists", root="images"), load_protocol("folder:images")
    assert by_lists.pool.name == by_folder.pool.name == f"folder:{own / 'images'}"
    np.testing.assert_array_equal(np.sort(by_lists.pool.item_hashes()), np.sort(by_folder.pool.item_hashes()))


def test_an_origin_whose_data_have_moved(own):
    split = load_protocol("lists:lists", root="images")
    (own / "images").rename(own / "moved")
    with pytest.raises(DataError, match="4 of 4 listed images are absent"):
        split.origin.load()
    assert split.origin.load(own / "moved").checksum == split.checksum


def test_a_root_that_was_not_given_is_that_of_each_machine(tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        Origin("cub200", root=str(tmp_path)).load()
    pytest.importorskip("sklearn")
    assert load_protocol("digits").origin.root is None


@pytest.mark.parametrize("name", [None, 3, b"digits", ["digits"]])
def test_names_that_are_no_text(name, unchecked):
    with pytest.raises(DataError, match="a protocol is loaded by its name, got "):
        load_protocol(name)


@pytest.mark.parametrize("path", ["", "a\0b", 3, "\ud800"])
def test_paths_that_are_none(path, unchecked):
    with pytest.raises(BitseekError, match="a path is text"):
        load_protocol("cub200", root=path)
    if isinstance(path, str) and path:
        with pytest.raises(BitseekError, match="a path is text"):
            load_protocol(f"folder:{path}")


def test_paths_below_the_home_folder_and_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for root in ("~/data", b"~/data", str(tmp_path / "data")):
        assert data_root(root) == tmp_path / "data"
        with pytest.raises(DataError, match=str(tmp_path / "data")):
            load_protocol("cub200", root=root)
    monkeypatch.setenv("BITSEEK_DATA", "~/elsewhere")
    assert data_root() == tmp_path / "elsewhere"
    monkeypatch.delenv("BITSEEK_DATA")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert data_root() == tmp_path / ".local/share/bitseek"
    with pytest.raises(DataError, match=f"there is no folder {tmp_path / 'photos'}"):
        load_protocol("folder:~/photos")
