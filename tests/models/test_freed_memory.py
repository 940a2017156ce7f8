"""Seen from outside: the pages that the kernel fills anew for a large block that is freed and asked for again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bitseek

SOURCE = Path(bitseek.__file__).parent / "models" / "_freed_memory.py"
PROGRAM = """
import resource, runpy, sys
import numpy as np
kept = runpy.run_path(sys.argv[1])["keep_freed_memory"]()

def once():
    block = np.empty(100 << 20, np.uint8)
    block[::4096] = 1

once()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    once()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults)
"""


def faults(**environment):
    clean = {name: value for name, value in os.environ.items() if "MALLOC" not in name and name != "GLIBC_TUNABLES"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, SOURCE], env=clean | environment, capture_output=True, text=True, check=True
    )
    kept, count = run.stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="there is no glibc here")
def test_a_block_that_was_freed_is_there_for_the_next_one():
    kept, count = faults()
    assert kept
    assert count < 256, "ten blocks of 100 MiB have 256,000 pages of 4 KiB, or 500 of 2 MiB"


@pytest.mark.parametrize(
    "own", [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}]
)
def test_what_the_environment_says_of_the_allocator_stays(own):
    assert faults(**own)[0] is False
