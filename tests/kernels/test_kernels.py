"""What is promised of the kernels beside their answers, which tests/index compare with brute force."""

import graphlib
import logging
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from bitseek.codes import Codes
from bitseek.index import HammingIndex
from bitseek.kernels import jit

PROGRAM = """
import sys
import numpy as np
from bitseek.kernels import cluster, jit
from bitseek.codes import Codes
from bitseek.index import HammingIndex
assert jit.COMPILED == (sys.argv[1] == "compiled")
rng = np.random.default_rng(0)
answers = {}
for bits in (7, 64, 200):
    around = rng.random((9, bits)) < 0.5
    def draw(n):
        return Codes.from_bits(around[rng.integers(0, 9, n)] ^ (rng.random((n, bits)) < 0.1))
    codes, queries, logits = draw(1500), draw(12), rng.normal(size=(12, bits))
    index = HammingIndex(codes)
    index.remove(rng.integers(0, 1500, 200))
    for plan in ("scan", "pruned"):
        for k in (1, 70, 1500):
            hits = index.nearest(queries, k, plan=plan)
            answers[f"ids {bits} {plan} {k}"], answers[f"distances {bits} {plan} {k}"] = hits.ids, hits.distances
        ragged = index.within(queries, bits // 5, plan=plan)
        answers[f"offsets {bits} {plan}"], answers[f"within {bits} {plan}"] = ragged.offsets, ragged.ids
    best = index.nearest_by_logits(logits, 30)
    answers[f"best {bits}"], answers[f"scores {bits}"] = best.ids, best.scores
    shells = cluster.build(codes.words, bits)
    answers |= {f"{name} {bits}": np.asarray(value) for name, value in shells._asdict().items()}
np.savez(sys.argv[2], **answers)
"""


def run(tmp_path, mode, **environment):
    path = tmp_path / f"{mode}.npz"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, mode, str(path)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    with np.load(path) as answers:
        return dict(answers)


def test_the_same_answers_and_clusters_without_a_compiler(tmp_path):
    compiled, plain = run(tmp_path, "compiled"), run(tmp_path, "plain", NUMBA_DISABLE_JIT="1")
    assert compiled.keys() == plain.keys() and len(compiled) > 60
    for name, answer in compiled.items():
        np.testing.assert_array_equal(answer, plain[name], err_msg=name)


def test_the_same_answers_without_numba(tmp_path):
    """Where numba cannot be imported at all, as on a Python that is newer than it."""
    (tmp_path / "numba.py").write_text("raise ImportError('no numba for this Python yet')")
    plain = run(tmp_path, "plain", PYTHONPATH=str(tmp_path))
    for name, answer in run(tmp_path, "compiled").items():
        np.testing.assert_array_equal(answer, plain[name], err_msg=name)


def test_numba_is_imported_by_the_first_search_that_needs_it():
    program = """
import sys, bitseek.index, bitseek.kernels, bitseek.kernels.layout, bitseek.kernels.threads
from bitseek.codes import Codes
assert "numba" not in sys.modules
index = bitseek.index.HammingIndex(Codes.from_bits([[0, 1], [1, 1]]))
index.add(Codes.from_bits([[0, 0]]))
index.remove([0])
index.save(sys.argv[1])
index = bitseek.index.HammingIndex.open(sys.argv[1])
assert "numba" not in sys.modules
for plan in ("auto", "scan"):
    assert index.nearest(Codes.from_bits([[0, 0]]), 1, plan=plan).ids.tolist() == [[2]]
    print("numba" in sys.modules)
"""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_no_module_of_the_kernels_imports_itself_in_a_circle():
    folder = Path(jit.__file__).parent
    imports = {
        path.stem: set(re.findall(r"^ *from bitseek\.kernels(?:\.(\w+))? import (.*)$", path.read_text(), re.MULTILINE))
        for path in folder.glob("*.py")
    }
    below = {
        name: {module or one for module, many in found for one in re.findall(r"\w+", many) if module or one in imports}
        for name, found in imports.items()
    }
    tuple(graphlib.TopologicalSorter(below).static_order())
    assert below["layout"] == below["threads"] == below["jit"] == set() and "scan" not in below["pruned"]
    assert {name for name in below if 'import_module("numba' in (folder / f"{name}.py").read_text()} == {"jit"}


needs_compiler = pytest.mark.skipif(not jit.COMPILED, reason="numba's compiler is disabled or absent")


@needs_compiler
def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path):
    (tmp_path / "file").write_text("")
    program = (
        "import logging, numpy as np; logging.basicConfig(format='said: %(message)s');"
        "from bitseek.kernels import jit, scan;"
        "print(repr(jit._CACHE), scan.nearest(np.zeros((5, 1), np.uint64), np.zeros((1, 1), np.uint64), 2, 64))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "below"), "NUMBA_OPT": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "'' [[0 1]]\n"
    assert done.stderr.count("said: compiling the search kernels") == 1, "the first use says what it waits for, once"


@needs_compiler
def test_the_cache_is_kept_apart_by_processor(tmp_path):
    import llvmlite.binding

    program = "from bitseek.kernels import jit; print(jit._CACHE)"
    folders = []
    for cpu in ({}, {"NUMBA_CPU_FEATURES": "+popcnt"}):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)} | cpu
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        folders.append(done.stdout.strip())
    assert folders[0] != folders[1]
    assert all(llvmlite.binding.get_host_cpu_name() in folder for folder in folders)


@needs_compiler
def test_no_threads_but_pythons_are_started():
    """No OpenMP and no threading layer of numba: two such run-times in a process slow each other down."""
    program = (
        "import sys, numpy as np; from bitseek.kernels import scan;"
        "words = np.arange(500_000, dtype=np.uint64)[:, None];"
        "scan.nearest(words, words[:100], 3, 64, threads=2); scan.nearest(words, words[:1], 3, 64, threads=2);"
        "import numba.np.ufunc.parallel as layer; print(layer._is_initialized);"
        "print(any(name.endswith(('omppool', 'tbbpool', 'workqueue')) for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["False", "False"]


@needs_compiler
@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the assembly that is looked at is that of x86-64"
)
@pytest.mark.parametrize("avx512", [True, False])
def test_the_scan_is_vectorised_without_gathers(avx512, tmp_path):
    """The benchmark script prints the instructions of the inner loops; see there."""
    import llvmlite.binding

    host = llvmlite.binding.get_host_cpu_features()
    if not host.get("avx512vpopcntdq" if avx512 else "avx2"):
        pytest.skip(f"this processor has no {'AVX-512 VPOPCNTDQ' if avx512 else 'AVX2'}")
    script = Path(__file__).parents[2] / "benchmarks" / "kernel_assembly.py"
    command = [sys.executable, str(script), "--no-record", *([] if avx512 else ["--target", "haswell"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("_skip")]
    assert len(lines) >= 5
    for name, *counts in lines:
        found = dict(count.split("=") for count in counts)
        assert int(found["gather"]) == 0, name
        assert int(found["vpopcntq" if avx512 else "vpshufb"]) >= 4, name
        if name in ("_skip_1", "_skip_2", "_skip_4"):  # the others have a rest, or arrays that might overlap
            assert int(found["popcnt"]) == 0, name


def test_the_largest_database_of_a_scan_agrees_with_faiss():
    """A million codes; distances only, since faiss breaks ties by chance."""
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(1)
    around = rng.integers(0, 2**64, (500, 1), dtype=np.uint64)
    noise = rng.integers(0, 2**64, (4, 1_000_000, 1), dtype=np.uint64)
    words = around[rng.integers(0, 500, 1_000_000)] ^ (noise[0] & noise[1] & noise[2])
    queries = words[::33_333] ^ (noise[3, :31] & noise[0, :31] & noise[1, :31])
    index = faiss.IndexBinaryFlat(64)
    index.add(words.view(np.uint8))
    ours = HammingIndex(Codes(words, 64))
    faiss.omp_set_num_threads(1)
    for k in (1, 10, 200):
        distances, _ = index.search(queries.view(np.uint8), k)
        for plan in ("scan", "pruned"):
            np.testing.assert_array_equal(ours.nearest(Codes(queries, 64), k, plan=plan).distances, distances)


@needs_compiler
def test_each_kernel_is_compiled_for_one_type_only(tmp_path):
    """Whatever the codes are: writable, mapped, sliced, of an index that was opened, or asked for a second time."""
    program = """
import sys
import numpy as np
from bitseek.kernels import cluster, lookup, merge, pruned, scan, topk
from bitseek.codes import Codes
from bitseek.index import HammingIndex, IndexWriter
rng = np.random.default_rng(0)
for bits in (64, 100):
    words = rng.integers(0, 2**36, (70_000, -(-bits // 64)), dtype=np.uint64)
    words[1000:] = 0
    whole = HammingIndex(Codes(words, bits))
    whole.build()
    whole.save(sys.argv[1])
    for index in (whole, HammingIndex(Codes(words[::2], bits)), HammingIndex.open(sys.argv[1])):
        for gone in ([], [1, 2]):
            index.remove(gone)
            for queries in (Codes(words[:3], bits), Codes(words[:900:2], bits)):
                for plan in ("scan", "pruned"):
                    index.nearest(queries, 3, plan=plan)
                    index.nearest(queries, 100, plan=plan)
                    index.within(queries, 3, plan=plan)
            index.nearest_by_logits(np.ones((2, bits)))
            index.add(Codes(words[:5], bits))
        index.build()
    with IndexWriter(f"{sys.argv[1]}-{bits}", bits) as writer:
        for start in (0, 30_000):
            writer.append(Codes(words[start : start + 40_000], bits))
            writer.build()
for module in (scan, topk, pruned, cluster, merge, lookup):
    for name, kernel in vars(module).items():
        if hasattr(kernel, "signatures") and kernel.__module__ == module.__name__:
            print(module.__name__.split(".")[-1] + "." + name, len(kernel.signatures))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    counts = dict(line.split() for line in done.stdout.splitlines())
    called = "scan._nearest scan._within topk._quantiles pruned._nearest pruned._within lookup._greatest "
    called += "cluster._nearest_centre cluster._add_ones cluster._count_shells cluster._place "
    called += "merge._copy"
    assert {name: counts[name] for name in called.split()} == dict.fromkeys(called.split(), "1")


def test_a_program_may_end_while_clusters_are_built():
    program = (
        "import numpy as np; from bitseek.codes import Codes; from bitseek.index import HammingIndex;"
        "index = HammingIndex(Codes(np.arange(3_000_000, dtype=np.uint64)[:, None], 64));"
        "index.load_kernels(); index.nearest(index.codes([0, 1]), 2); print(index.explain().clusters)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "Error" not in done.stderr, done.stderr
    assert done.stdout.strip() == "being built in the background"


def test_notice_is_a_log_record():
    assert logging.getLogger("bitseek.kernels") is jit.logger


@pytest.mark.skipif(not jit.COMPILED, reason="there is no compiler")
def test_threads_that_make_kernels_at_once_leave_numbas_folder_as_it_was():
    """One is decorating while another begins, and ends after it."""
    before, began, may_end = jit.numba.config.CACHE_DIR, threading.Event(), threading.Event()

    def second():
        with jit._own_cache():
            began.set()
            may_end.wait(60)

    other = threading.Thread(target=second)
    with jit._own_cache():
        other.start()
        assert not began.wait(0.1)
        assert jit._CACHE == jit.numba.config.CACHE_DIR
    may_end.set()
    other.join()
    assert began.is_set()
    assert before == jit.numba.config.CACHE_DIR
