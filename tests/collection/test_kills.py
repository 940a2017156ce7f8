"""A writer is killed, and the disk is full: nothing that was reported is lost, nothing is wrong.

Killed at its steps here; benchmarks/collection_kills.py does it at a thousand moments of chance, with a reader beside.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.collection.harness import codes_of, encoded, files, png
from tests.collection.projection import BITS, Projection
from tests.kills import Program, some_of

from bitseek.codes import Codes
from bitseek.collection import Collection

IMPORTS = """
import numpy as np
from tests.collection.projection import Projection
from bitseek.codes import Codes
from bitseek.collection import Collection, _import, _update
from bitseek.collection._writer import Writer

_update.MOST_ROWS = _update.BATCH = _import.AT_ONCE = 4  # many commits
_update.MOST_SECONDS = float("inf")
add = Writer.add

def telling(writer, items, **options):
    ids = add(writer, items, **options)
    print(*ids, flush=True)
    return ids

Writer.add = telling
hasher = Projection()
codes = Codes.from_bits(np.random.default_rng(7).random((9, hasher.bits)) < 0.5)
Codes.concat([codes, codes]).hex()
"""

LOG = 40_000
"""A log of SQLite that is longer: its writer is then killed amid a commit. The file of the log's index is shorter."""


@pytest.fixture
def rounds(made, tmp_path):
    """Runs a program on copies of a collection, killed at steps of it; gives each, and the lines that it told."""

    def each(code, most):
        with Program(IMPORTS, f"with Collection.open(folder) as collection: {code}") as program:
            steps = program.steps(shutil.copytree(made, tmp_path / "whole"))
            for number, step in enumerate(some_of(steps, most)):
                folder = shutil.copytree(made, tmp_path / f"killed at {step}")
                ended = program.run(folder, step, LOG if number % 3 == 2 else None)
                assert ended.killed or number % 3 == 2
                yield folder, ended.said
                shutil.rmtree(folder)

    return each


def test_a_killed_update_loses_nothing_that_it_told_of(rounds, made, photos, hasher):
    for i in (1, 2):
        (photos / "a" / f"{2 * i:02d}.png").write_bytes(png(60 + i))
        (photos / "b" / f"{2 * i + 1:02d}.png").unlink()
    for i in range(9):
        (photos / "new" / f"{i}.png").parent.mkdir(exist_ok=True)
        (photos / "new" / f"{i}.png").write_bytes(png(80 + i))
    (photos / "a" / "06.png").rename(photos / "new" / "six.png")
    with Collection.open(made) as collection:
        before = codes_of(collection)
    after, told = encoded(Projection(), files(photos)), []
    for folder, said in rounds(f"collection.update({str(photos)!r}, hasher=hasher, threads=1)", 24):
        ids = [int(id) for line in said for id in line.split()]
        with Collection.open(folder) as collection:
            items = {item.id: item for item in collection.items()}
            assert set(ids) <= items.keys()
            assert all(item.code in (before.get(item.path), after.get(item.path)) for item in items.values())
            assert collection.codes[np.array(sorted(items))].hex() == [items[id].code for id in sorted(items)]
            hasher.encoded = 0
            collection.update(hasher=hasher)
            assert hasher.encoded <= 12 - len(ids)  # what it told of is known; one of them needs no encoding anyway
            assert codes_of(collection) == after
            found = collection.verify(hasher=hasher)
            assert found.ok and all(finding.part == "thumbnails" for finding in found.findings)
        told.append(len(ids))
    assert min(told) == 0 and max(told) == 12 and len(set(told)) > 2


def test_a_killed_removal_is_whole_or_never_was(rounds, made, hasher):
    found = set()
    for folder, _ in rounds("collection.remove([3, 4, 17])", 12):
        with Collection.open(folder) as collection:
            found.add(tuple(sorted({*range(20)} - set(collection.alive.tolist()))))
            assert collection.verify(hasher=hasher).ok
    assert found == {(), (3, 4, 17)}


def test_a_killed_import_is_whole_or_never_was(rounds, hasher):
    codes = Codes.from_bits(np.random.default_rng(7).random((9, BITS)) < 0.5).hex()
    found = set()
    for folder, _ in rounds("collection.add_codes(codes, paths=[f'/elsewhere/{i}' for i in range(9)])", 15):
        with Collection.open(folder) as collection:
            collection.remove([0])  # whoever writes next takes back what is half
            imported = [item.code for item in collection.items() if item.path.startswith("/elsewhere/")]
            assert imported in ([], codes) and len(collection) == 19 + len(imported)
            assert collection.verify(hasher=hasher).ok
            found.add(len(imported))
    assert found == {0, 9}


CAMPAIGN = """
import json, sys, tempfile
from pathlib import Path
sys.path.insert(0, {checkout!r})
from benchmarks import collection_kills
with tempfile.TemporaryDirectory() as place:
    print(json.dumps([collection_kills.run(5, Path(place)), collection_kills.full_disk(6)]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals that kill")
def test_nothing_is_lost_at_moments_of_chance_and_on_a_full_disk():
    code = CAMPAIGN.format(checkout=str(Path(__file__).parents[2]))  # in a process of its own, as it forks
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    killing, full = json.loads(done.stdout)
    assert killing["kills"] == 5, killing
    for name in ("lost", "wrong_codes", "still_there", "errors", "reader_errors"):
        assert killing[name] == 0, f"{name}: {done.stdout} {done.stderr}"  # pytest would shorten a dict
    assert full["sentences"] > 0 and (full["lost"], full["wrong"], full["other_errors"]) == (0, 0, 0), full
