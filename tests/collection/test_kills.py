"""A writer is killed at random moments, and the disk is full: nothing that was reported is lost, nothing is wrong.

benchmarks/collection_kills.py does the same a thousand times; see there what is checked.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = """
import json, sys, tempfile
from pathlib import Path
sys.path.insert(0, {checkout!r})
from benchmarks import collection_kills
with tempfile.TemporaryDirectory() as place:
    print(json.dumps([collection_kills.run({kills}, Path(place)), collection_kills.full_disk({full})]))
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals that kill")


def test_nothing_is_lost():
    import json

    # In a process of its own, as it forks.
    code = ROUNDS.format(checkout=str(Path(__file__).parents[2]), kills=25, full=6)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    killing, full = json.loads(done.stdout)
    assert killing["kills"] == 25 and killing["reported"] > 0 and killing["reader_searches"] > 0, killing
    for name in ("lost", "wrong_codes", "still_there", "errors", "reader_errors"):
        assert killing[name] == 0, (killing, done.stderr)
    assert full["sentences"] > 0 and (full["lost"], full["wrong"], full["other_errors"]) == (0, 0, 0), full
