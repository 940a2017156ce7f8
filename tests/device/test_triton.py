"""The kernels of Triton find what torch finds, where there is a GPU; what is wrong or does not run is not used."""

import pytest
import torch

from bitseek.device import _triton
from bitseek.device._find import Plain
from bitseek.device._triton import Fused, agree, quickest

CPU = torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available() or _triton.triton is None, reason="needs a GPU, and Triton")
def test_kernels_of_triton_find_what_torch_finds():
    assert agree(Fused(), Plain(), torch.device("cuda"))


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
