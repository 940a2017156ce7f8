"""The rule of bits, for NumPy and torch: one answer for both, and sentences for what is no logit."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bitseek.codes import Codes, signs
from bitseek.errors import BitseekError, ShapeError

torch = pytest.importorskip("torch")

TINY = float(np.finfo(np.float64).smallest_subnormal)
SPECIAL = [0.0, -0.0, TINY, -TINY, 1e-45, -1e-45, np.inf, -np.inf, 1.0, -1.0]


def one_by_one(values: np.ndarray) -> np.ndarray:
    """The rule in plain Python."""
    return np.array([1 if value >= 0 else -1 for value in values.reshape(-1).tolist()]).reshape(values.shape)


@settings(max_examples=80)
@given(
    st.sampled_from([np.float16, np.float32, np.float64]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0), elements=st.floats(width=16, allow_nan=False))
    )
)
def test_numpy(values):
    found = signs(values)
    assert found.dtype == values.dtype and found.shape == values.shape
    np.testing.assert_array_equal(found, one_by_one(values))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int64", "int8"])
def test_torch_gives_what_numpy_gives(dtype):
    values = torch.tensor([[0.0, -0.0, 3.0, -2.0], [1.0, -1.0, 0.0, -5.0]]).to(getattr(torch, dtype))
    found = signs(values)
    assert found.dtype == values.dtype and found.device == values.device
    np.testing.assert_array_equal(found.double().numpy(), one_by_one(values.double().numpy()))
    assert Codes.from_logits(values) == Codes.from_logits(values.double().numpy())


def test_the_smallest_numbers_keep_their_sign():
    values = np.array([SPECIAL])
    expected = [[1, 1, 1, -1, 1, -1, 1, -1, 1, -1]]
    assert signs(values).tolist() == signs(torch.tensor(SPECIAL, dtype=torch.float64)[None]).tolist() == expected
    assert Codes.from_logits(values).to_signs().tolist() == expected
    assert Codes.from_logits(torch.tensor(values)).to_signs().tolist() == expected


def test_no_gradient_flows_and_none_is_needed():
    logits = torch.randn(5, 12, requires_grad=True)
    assert not signs(logits).requires_grad
    assert Codes.from_logits(logits) == Codes.from_logits(logits.detach().numpy())
    assert Codes.from_logits(logits * 2) == Codes.from_logits(logits)
    (signs(logits) * logits).sum().backward()
    assert torch.equal(logits.grad, signs(logits))


def test_the_given_values_are_not_changed():
    values, tensor = np.array([0.5, -0.5]), torch.tensor([[0.5, -0.5]])
    signs(values), signs(tensor), Codes.from_logits(tensor)
    assert values.tolist() == [0.5, -0.5] and tensor.tolist() == [[0.5, -0.5]]


def test_it_can_be_compiled_into_a_loss():
    """Without a break in the graph, so it neither waits for the device nor imports anything."""
    compiled = torch.compile(lambda x: (signs(x) - x).square().sum(), backend="eager", fullgraph=True)
    x = torch.randn(3, 4)
    assert torch.equal(compiled(x), (signs(x) - x).square().sum())


def test_tensors_are_not_searched_for_nan_by_signs_but_by_codes():
    tensor = torch.tensor([[1.0, 2.0], [float("nan"), 0.0]])
    assert signs(tensor).tolist() == [[1, 1], [-1, 1]]
    for logits in (tensor, tensor.bfloat16(), tensor.numpy(), tensor.tolist()):
        with pytest.raises(ShapeError, match="a logit of item 1 is NaN"):
            Codes.from_logits(logits)
    for values in (tensor.numpy(), np.array(np.nan), np.array([0.0, np.nan])):
        with pytest.raises(ShapeError, match="is NaN"):
            signs(values)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_on_a_gpu(dtype):
    logits = torch.randn(300, 70, device="cuda", dtype=dtype, requires_grad=True)
    assert signs(logits).device == logits.device and signs(logits).dtype == dtype
    assert torch.equal(signs(logits).cpu(), signs(logits.detach().cpu()))
    assert Codes.from_logits(logits) == Codes.from_logits(logits.detach().cpu())
    with pytest.raises(ShapeError, match="item 299 is NaN"):
        Codes.from_logits(logits.detach().index_fill(0, torch.tensor([299], device="cuda"), float("nan")))


ODD = {
    "a scalar": 1.0,
    "a tensor of no dimension": torch.tensor(1.0),
    "a string": "0.5",
    "strings": [["0.5", "1"]],
    "bytes": b"abc",
    "None": None,
    "an object": object(),
    "objects": np.array([[None, 1]], dtype=object),
    "a set": {1.0, 2.0},
    "a dictionary": {"logits": [[1.0]]},
    "a ragged list": [[1.0, 2.0], [3.0]],
    "one row": [1.0, -1.0],
    "no rows and no columns": [],
    "three dimensions": np.zeros((2, 3, 4)),
    "no bits": np.zeros((3, 0)),
    "no bits in a tensor": torch.zeros(3, 0),
    "bool": np.array([[True, False]]),
    "a bool tensor": torch.tensor([[True, False]]),
    "numbers without a sign": np.array([[1, 0]], np.uint8),
    "a tensor without a sign": torch.tensor([[1, 0]], dtype=torch.uint8),
    "complex numbers": np.array([[1j]]),
    "a complex tensor": torch.tensor([[1j]]),
    "dates": np.array([["2020-01-01"]], "M8[D]"),
    "records": np.zeros((2, 2), [("a", float)]),
    "masked": [[None]],
    "a tensor without values": torch.zeros(2, 3, device="meta"),
    "a sparse tensor": torch.eye(3).to_sparse(),
}


@pytest.mark.parametrize("logits", ODD.values(), ids=ODD)
def test_what_is_no_logits_is_refused_with_a_sentence(logits):
    with pytest.raises(ShapeError, match=r"logits|a code has at least 1 bit"):
        Codes.from_logits(logits)


@pytest.mark.parametrize("name", ["a string", "bool", "a bool tensor", "numbers without a sign", "objects", "None"])
def test_what_has_no_sign_is_refused(name):
    with pytest.raises(ShapeError, match="logits"):
        signs(ODD[name])


@pytest.mark.parametrize("shape", [(0, 1), (0, 64), (0, 65)])
def test_no_items_are_no_codes(shape):
    for logits in (np.zeros(shape), np.zeros(shape, np.float16), torch.zeros(shape), torch.zeros(shape).bfloat16()):
        codes = Codes.from_logits(logits)
        assert len(codes) == 0 and codes.bits == shape[1]
        assert signs(logits).shape == shape


def test_infinite_logits_are_sure_of_their_bit():
    assert Codes.from_logits([[np.inf, -np.inf]]).to_bits().tolist() == [[True, False]]


def test_torch_is_not_imported():
    program = (
        "import sys, numpy as np; from bitseek.codes import Codes, signs;"
        "signs(np.zeros(3)); Codes.from_logits(np.zeros((2, 3))); print('torch' in sys.modules, 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_shape_errors_are_bitseek_errors():
    assert issubclass(ShapeError, BitseekError) and issubclass(BitseekError, ValueError)


def test_narrow_floats_of_torch():
    values = torch.tensor([[0.5, -2.0], [-0.0, 3.0]], requires_grad=True)
    for dtype in (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        assert Codes.from_logits(values.to(dtype)).to_bits().tolist() == [[True, False], [True, True]]
