"""quickstart at toy size, and that it leaves alone what it did not write."""

import pytest
from PIL import Image

from bitseek.cli import _quickstart


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(_quickstart.RECIPE, "epochs", 2)
    monkeypatch.setitem(_quickstart.RECIPE, "size", 8)


def contents(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_everything_once_and_again_beside_files_of_the_users(bitseek, tmp_path):
    """Bug 2: the second one deleted `run`, `images` and `collection` with whatever the user kept there."""
    folder = tmp_path / "q"
    value = bitseek.answer("quickstart", folder)
    assert value["mAP_worst"] <= value["mAP"] <= value["mAP_best"] and value["figure"].startswith("mAP@all (")
    assert (value["queries"], value["database"], value["bits"]) == (300, 1497, 32)
    with Image.open(value["picture"]) as picture:
        assert picture.width > picture.height > 300
    query = next((folder / "images").rglob("*.png"))
    assert len(bitseek.answer("search", folder / "collection", query)[0]["hits"]) == 10
    assert set(_quickstart.RUN) - {"checkpoint/state.pt"} == {file.name for file in (folder / "run").iterdir()}

    mine = {"notes.txt": b"mine", "images/mine.png": b"mine", "images/3/mine.png": b"mine", "other/deep/x": b"mine"}
    for name, content in mine.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "run" / "report.json").unlink()
    assert f"{folder / 'hits.png'}: digits that the model has not seen" in bitseek.text("quickstart", folder)
    after = contents(folder)
    assert mine.items() <= after.items() and "run/report.json" in after

    for name in ("run/notes.txt", "collection/deep/notes.txt"):
        place = folder / name
        place.parent.mkdir(exist_ok=True)
        place.write_text("mine")
        before = contents(folder)
        assert f"{place} was not written by quickstart" in bitseek.refusal("quickstart", folder)
        assert contents(folder) == before
        place.unlink()


@pytest.mark.parametrize("name", ["run/config.json", "hits.png", "images/0/00000.png", "quickstart.json"])
def test_files_of_others_in_the_way_are_refused(name, bitseek, tmp_path):
    file = tmp_path / "q" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    message = bitseek.refusal("quickstart", tmp_path / "q")
    assert str(file) in message and contents(tmp_path / "q") == {name: b"mine"}
