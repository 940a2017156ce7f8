"""The kernels of Triton find what torch finds, and compile for a GPU; what is wrong or does not run is not used."""

import os
import subprocess
import sys

import pytest
import torch

from bitseek.device import _triton
from bitseek.device._find import Plain
from bitseek.device._triton import Fused, agree, quickest
from bitseek.kernels.layout import ID_BITS

CPU = torch.device("cpu")


needs_triton = pytest.mark.skipif(_triton.triton is None, reason="Triton is not installed")


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_kernels_of_triton_find_what_torch_finds():
    assert agree(Fused(), Plain(), torch.device("cuda"))


@needs_triton
def test_kernels_of_triton_find_it_in_its_interpreter_too():
    """Which runs them on the processor, if it is told so before Triton is imported."""
    code = """
import torch
from bitseek.device._find import Plain
from bitseek.device._triton import Fused, agree
print(agree(Fused(), Plain(), torch.device("cpu")))
"""
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout == "True\n", done.stderr


@needs_triton
@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")
@pytest.mark.parametrize(("kernel", "instruction"), [("_by_words", "popc.b64"), ("_by_products", "wgmma.mma_async")])
def test_kernels_of_triton_compile_for_a_gpu_that_is_not_here(kernel, instruction):
    """For an H100, to one instruction for the ones of a word, and to products on the tensor cores."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    numbers = dict.fromkeys(_triton._NUMBERS, "i32") | {"first": "i64"}
    arrays = {"block": "*i64", "planes": "*i64", "alive": "*u8", "limits": "*i32", "found": "*i64", "counts": "*i32"}
    fixed = {"HAS_ALIVE": True, "WORDS": 2, "ID": ID_BITS, "BLOCK": _triton._WORD_BLOCK}
    if kernel == "_by_products":
        arrays["block"] = "*i8"
        fixed |= {"ROWS": _triton._PRODUCT_ROWS, "BLOCK": _triton._PRODUCT_BLOCK}
    signature = arrays | numbers | dict.fromkeys(fixed, "constexpr")
    made = compile(ASTSource(getattr(_triton, kernel), signature, fixed), target=GPUTarget("cuda", 90, 32))
    assert made.asm["cubin"] and instruction in made.asm["ptx"]


class Wrong(Plain):
    """Loses one hit."""

    def __call__(self, *arguments, **options):
        found = super().__call__(*arguments, **options)
        return None if found is None else found[:, 1:]


class Blind(Plain):
    """Does not notice that there is no room."""

    def __call__(self, asked, chunk, start, stop, limits, room):
        return super().__call__(asked, chunk, start, stop, limits, chunk.rows)


@pytest.mark.parametrize("way", [Wrong, Blind])
def test_kernels_that_are_wrong_are_not_used(way):
    assert agree(Plain(), Plain(), CPU) and not agree(way(), Plain(), CPU)


def test_kernels_that_do_not_run_are_not_used(monkeypatch, caplog):
    """A device that says it is a GPU and is none: whatever is raised, torch answers, and the log says so."""
    monkeypatch.setattr(_triton, "triton", object())
    gpu = torch.device("cuda")
    if torch.cuda.is_available():
        pytest.skip("here it is one")
    assert isinstance(quickest(gpu), Plain) and "torch alone is used" in caplog.text
    assert isinstance(quickest(CPU), Plain)
