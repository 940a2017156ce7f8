"""What the commands that need no server make of an address, and collections whose codes are compared on a device."""

from functools import partial

import pytest
from tests.collection.harness import png
from tests.collection.projection import Projection
from tests.engines.test_encode import run

from bitseek.codes import Codes
from bitseek.collection import Collection
from bitseek.engines import open_collection
from bitseek.engines._address import search_on
from bitseek.errors import BitseekError


@pytest.mark.parametrize("option", [[], ["photos", "--collection"]])
def test_open_says_what_to_do_with_an_address(option, tmp_path, monkeypatch, capsys):
    """And makes no folder of its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    status, out, err = run(capsys, "open", *option, "postgresql://me:S3cret@host/db?collection=a", "--no-browser")
    assert status == 1 and not out and "S3cret" not in err and "Traceback" not in err
    assert "bitseek index 'postgresql://me@host/db?collection=a' FOLDER --model RUN" in err
    assert [each.name for each in tmp_path.iterdir()] == ["photos"]


def test_a_collection_at_an_address_is_exported(tmp_path, capsys):
    """As that in its folder is; no actor is needed for it."""
    (tmp_path / "photos").mkdir()
    for i in range(5):
        (tmp_path / "photos" / f"{i}.png").write_bytes(png(i))
    with Collection.create(tmp_path / "c", hasher=Projection()) as made:
        made.update(tmp_path / "photos", hasher=Projection())
    for place, name in [(tmp_path / "c", "here"), (f"ray://{tmp_path / 'c'}", "there")]:
        status, out, err = run(capsys, "export", place, tmp_path / f"{name}.npz")
        assert status == 0 and out == f"{tmp_path / name}.npz: 5 items\n", err
    here, there = (Codes.load(tmp_path / f"{name}.npz") for name in ("here", "there"))
    assert here == there and len(here) == 5
    status, _, err = run(capsys, "export", f"ray://{tmp_path / 'photos'}", tmp_path / "x.npz")
    assert status == 1 and "is not a collection" in err and not (tmp_path / "x.npz").exists()
    status, _, err = run(capsys, "export", f"ray://{tmp_path / 'c'}", tmp_path / "x.onnx")
    assert status == 1 and "is a collection: it is written as .npz" in err


def test_codes_of_a_collection_are_compared_on_a_device(tmp_path):
    """The same hits, after an update too; and what is wrong with a device is told when it is opened."""
    (tmp_path / "photos").mkdir()
    for i in range(9):
        (tmp_path / "photos" / f"{i}.png").write_bytes(png(i))
    with Collection.create(tmp_path / "c", hasher=Projection()) as made:
        made.update(tmp_path / "photos", hasher=Projection())
        made.remove([3])
    with (
        open_collection(tmp_path / "c", device="cpu") as plain,
        Collection.open(tmp_path / "c", index=partial(search_on, "cpu")) as there,
    ):
        assert plain._published.index.explain().device is None
        assert there._published.index.explain().device.startswith("cpu, products of")
        for step in range(2):
            asked = plain.codes
            assert there.search(asked, k=4) == plain.search(asked, k=4)
            assert there.search(asked, k=None, radius=20) == plain.search(asked, k=None, radius=20)
            if not step:
                plain.remove([5])
                there.refresh()
    with pytest.raises(BitseekError, match="there is no device 'abacus' here"):
        open_collection(tmp_path / "c", device="abacus")
    with pytest.raises(BitseekError, match="the engine of postgresql://me@host/db compares the codes"):
        open_collection("postgresql://me:S3cret@host/db", device="cuda")
