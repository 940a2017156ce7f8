import os
import pickle
import pickletools
import warnings
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitseek.data._plain_pickle import load_plain
from bitseek.errors import BitseekError

PLAIN = {
    "list": [1, 2.5, None, True, "é", b"bytes", (1, (2,))],
    "array": np.arange(12, dtype=np.int32).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype="<f4").reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i8"),
    "empty": np.empty((0, 4), np.uint8),
    "scalar": np.float64(1.5),
    "nested": {"a": [np.array([True, False])]},
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_come_back(tmp_path, protocol):
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol))
    loaded = load_plain(path)
    assert loaded.keys() == PLAIN.keys()
    assert loaded["list"] == PLAIN["list"] and loaded["scalar"] == 1.5
    for name in ("array", "fortran", "big endian", "empty"):
        np.testing.assert_array_equal(loaded[name], PLAIN[name])
        assert loaded[name].dtype.kind == PLAIN[name].dtype.kind
    np.testing.assert_array_equal(loaded["nested"]["a"][0], [True, False])


def test_pickle_of_python_2_and_old_numpy(tmp_path):
    # As CIFAR's files have it: a byte string of Python 2 as the array's data, and numpy.core as its module.
    dtype = b"cnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"
    state = b"(I1\n(I2\nI3\nt" + dtype + b"I00\nS'\\x00\\x01\\x02\\xfd\\xfe\\xff'\ntb"
    path = tmp_path / "old.pkl"
    path.write_bytes(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR" + state + b".")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(load_plain(path), [[0, 1, 2], [253, 254, 255]])


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "evil",
    [
        Evil(os.system, "touch {}"),
        Evil(eval, "open('{}', 'w')"),
        Evil(np.load, "{}"),
        Evil(np.ndarray, (1,)),
        OrderedDict(a=1),
        np.array([{}], dtype=object),
        np.zeros(2, [("a", "i4")]),
        np.array(["text"]),
        {1, 2},
        complex(1, 2),
    ],
    ids=lambda evil: type(evil).__name__,
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_anything_else_is_refused(tmp_path, evil, protocol):
    victim = tmp_path / "victim"
    if isinstance(evil, Evil):
        function, arguments = evil.call
        arguments = tuple(a.format(victim) if isinstance(a, str) else a for a in arguments)
        evil = Evil(function, *arguments)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps([evil], protocol))
    with pytest.raises(BitseekError, match=r"evil\.pkl"):
        load_plain(tmp_path / "evil.pkl")
    assert not victim.exists()


def test_truncated_absent_and_recursive(tmp_path):
    path = tmp_path / "p.pkl"
    raw = pickle.dumps(PLAIN, 2)
    for cut in (0, 1, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:cut])
        with pytest.raises(BitseekError, match=r"p\.pkl"):
            load_plain(path)
    with pytest.raises(BitseekError, match=r"absent\.pkl"):
        load_plain(tmp_path / "absent.pkl")
    loop = []
    loop.append(loop)
    path.write_bytes(pickle.dumps(loop))
    with pytest.raises(BitseekError, match=r"p\.pkl"):
        load_plain(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_never_does_more_than_a_data_error(tmp_path, data):
    raw = bytearray(pickletools.optimize(pickle.dumps(PLAIN["nested"] | {"x": PLAIN["array"]}, 2)))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "d.pkl").write_bytes(raw)
    try:
        load_plain(tmp_path / "d.pkl")
    except BitseekError as error:
        assert "d.pkl" in str(error)
