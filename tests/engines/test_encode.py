"""Encoding in shards: what is written, what is skipped, what is refused, and what a kill costs."""

import json
import os

import numpy as np
import pytest
from tests.collection.harness import png
from tests.collection.projection import Projection
from tests.kills import Program, some_of

from bitseek.cli import main
from bitseek.codes import Codes
from bitseek.engines import Slice, connect, encode_shards, listed
from bitseek.engines._shards import ShardFolder
from bitseek.errors import BitseekError, CodeWidthError


@pytest.fixture
def images(tmp_path):
    """Eleven images, of which two cannot be read, and one whose name is not UTF-8."""
    folder = tmp_path / "images"
    for i in range(10):
        file = folder / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"no image" if i in (3, 4) else png(i))
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(png(10))
    return folder


def readable(files):
    return [file for file in files if file[-5:] not in ("3.png", "4.png")]


def test_shards_are_what_one_pass_gives(images, tmp_path):
    hasher, files = Projection(), listed([images])
    seen = []
    done = encode_shards(hasher, files, tmp_path / "s", Slice.all(4), progress=lambda *step: seen.append(step))
    assert [each.slice.number for each in done] == [1, 2, 3, 4] and not any(each.skipped for each in done)
    assert sum(each.items for each in done) == 9 and sum(len(each.unreadable) for each in done) == 2
    engine = connect(tmp_path / "s")
    assert engine.codes() == Projection().encode(readable(files))
    assert [engine.path(id) for id in range(9)] == readable(files)
    assert engine.fingerprint == hasher.fingerprint
    told = {path: text for shard in ShardFolder(tmp_path / "s").open() for path, text in shard.unreadable.items()}
    assert sorted(told) == sorted(set(files) - set(readable(files)))
    assert all(path.rsplit("/", 1)[-1] in text for path, text in told.items())


def test_what_is_complete_is_skipped_and_what_is_not_is_done_again(images, tmp_path):
    hasher, files = Projection(), listed([images])
    encode_shards(hasher, files, tmp_path / "s", [Slice(2, 3)])
    assert [file.name for file in (tmp_path / "s").glob("shard-*-0003.json")] == ["shard-0002-of-0003.json"]
    before, hasher.encoded = hasher.encoded, 0
    first, second, third = encode_shards(hasher, files, tmp_path / "s", Slice.all(3))
    assert (first.skipped, second.skipped, third.skipped) == (False, True, False)
    assert before + hasher.encoded == 9 and before == second.items
    whole = connect(tmp_path / "s").codes()
    [file] = (tmp_path / "s").glob("codes-0001-of-0003-*")
    file.write_bytes(file.read_bytes()[:-1])
    hasher.encoded = 0
    again = encode_shards(hasher, files, tmp_path / "s", Slice.all(3))
    assert [each.skipped for each in again] == [False, True, True] and hasher.encoded == first.items
    assert connect(tmp_path / "s").codes() == whole


def test_more_shards_than_files(images, tmp_path):
    files = listed([images / "a"])
    assert len(files) == 5
    done = encode_shards(Projection(), files, tmp_path / "s", Slice.all(7))
    assert sorted(each.items + len(each.unreadable) for each in done) == [0, 0, 1, 1, 1, 1, 1]
    assert connect(tmp_path / "s").codes() == Projection().encode(readable(files))


def test_what_is_refused(images, tmp_path):
    files = listed([images])
    encode_shards(Projection(), files, tmp_path / "s", [Slice(1, 2)])
    before = {file.name: file.read_bytes() for file in (tmp_path / "s").iterdir()}
    for hasher, some, slice, error, message in [
        (Projection(seed=1), files, Slice(2, 2), CodeWidthError, "made by model"),
        (Projection(), files[1:], Slice(2, 2), BitseekError, "another list of 11 files, got 10"),
        (Projection(), [*files[:-1], "z.png"], Slice(2, 2), BitseekError, "another list"),
        (Projection(), files, Slice(2, 3), BitseekError, "shards of 2, got shards of 3"),
    ]:
        with pytest.raises(error, match=message):
            encode_shards(hasher, some, tmp_path / "s", [slice])
    assert {file.name: file.read_bytes() for file in (tmp_path / "s").iterdir()} == before


ENCODES = """
from tests.collection.projection import Projection
from bitseek.engines import Slice, encode_shards, listed

def encode(images, folder):
    for slice in Slice.all(6):
        (done,) = encode_shards(Projection(), listed([images]), folder, [slice])
        yield done.slice.number
"""


def test_a_kill_at_any_moment_costs_one_shard(tmp_path):
    """What was complete stays, and the end is as if nothing had been."""
    (tmp_path / "images").mkdir()
    for i in range(12):
        (tmp_path / "images" / f"{i:02d}.png").write_bytes(png(i))
    folder, whole = tmp_path / "s", Slice.all(6)
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    complete = 0
    code = f"for number in encode({str(tmp_path / 'images')!r}, folder): print(number, flush=True)"
    with Program(ENCODES, code) as program:
        steps = program.steps(tmp_path / "elsewhere")
        for number, step in enumerate(some_of(steps // 6, 12)):  # what is complete is skipped: a shard has no more
            ended = program.run(folder, step, room=100 if number % 3 == 1 else None)
            assert ended.killed
            now = sum(map(ShardFolder(folder).is_complete, whole))
            assert complete <= len(ended.said) <= now <= complete + 1
            complete = now
    assert 0 < complete < 6
    files, hasher = listed([tmp_path / "images"]), Projection()
    done = encode_shards(hasher, files, folder, whole)
    assert sum(each.skipped for each in done) == complete and hasher.encoded == 12 - 2 * complete
    engine = connect(folder)
    assert engine.codes() == Projection().encode(files) and engine.path(11) == files[11]
    owned = {"mine.txt"}
    for each in whole:
        names = ShardFolder(folder)._arrays(each)._owned
        owned |= names.names | {names.manifest.name}
    # A part that a killed writer left goes when its shard is written again; complete ones leave none.
    left = {file.name for file in folder.iterdir()} - owned
    assert all(name.startswith(".") and name.endswith(".part") for name in left)
    assert (folder / "mine.txt").read_text() == "mine"


def run(capsys, *arguments):
    """Status, output, and the last line of the errors of a command."""
    capsys.readouterr()
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code or 0
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, (err.strip().splitlines() or [""])[-1]


def test_the_command(exported, images, tmp_path, capsys):
    out = tmp_path / "s"
    status, text, _ = run(capsys, "encode", exported, images, "--shard", "1/3", "--out", out)
    assert status == 0 and text == f"{out}: shard 1/3, 2 codes of 16 bits\n"
    status, text, _ = run(capsys, "encode", exported, images, "--shards", "3", "--out", out, "--json")
    value = json.loads(text)
    assert status == 0 and (value["written"], value["skipped"]) == (["2/3", "3/3"], ["1/3"])
    assert (value["items"], value["bits"], len(value["unreadable"])) == (9, 16, 2)
    run(capsys, "encode", exported, images, "--out", tmp_path / "codes.npz")
    with np.load(tmp_path / "codes.npz") as file:
        paths = file["paths"].tolist()
    engine = connect(out)
    order = [paths.index(engine.path(id)) for id in range(9)]
    assert engine.codes() == Codes.load(tmp_path / "codes.npz")[order]


def test_the_command_says_what_is_wrong(exported, images, tmp_path, capsys):
    out = tmp_path / "s"
    (tmp_path / "file").write_text("mine")
    for arguments, message in [
        (("--shard", "4/3", "--out", out), "shards are 1/N to N/N"),
        (("--shard", "three", "--out", out), "NUMBER/TOTAL"),
        (("--shards", "0", "--out", out), "shards are 1/N to N/N"),
        (("--shard", "1/3", "--shards", "3", "--out", out), "--shard is one shard"),
        (("--shard", "1/3", "--ray", "local", "--out", out), "--shard is one shard"),
        (("--ray", "local", "--out", tmp_path / "c.npz"), "say how many"),
        (("--shards", "2", "--out", tmp_path / "file"), "file"),
    ]:
        status, text, error = run(capsys, "encode", exported, images, *arguments)
        assert status in (1, 2) and text == "" and message in error, (arguments, error)
    assert not out.exists() and (tmp_path / "file").read_text() == "mine"
