import sys
from pathlib import Path

import pytest

from bitseek.data import data_root, load_protocol
from bitseek.errors import DataError, MissingExtra


def test_data_root(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BITSEEK_DATA", "/somewhere")
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    assert data_root("/given") == Path("/given") and data_root("~/x") == tmp_path / "x"
    assert data_root() == Path("/somewhere")
    monkeypatch.delenv("BITSEEK_DATA")
    assert data_root() == Path("/xdg/bitseek")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert data_root() == tmp_path / ".local/share/bitseek"


@pytest.fixture
def offline(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing answers there
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setattr("urllib.request._opener", None)  # made once a process, with the proxies of that moment


def linked(source, target):
    """A data folder that shares its files with another, so that one of them can be replaced."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).symlink_to(file)
    return target


@pytest.mark.parametrize(
    ("name", "folder", "file"),
    [("cifar10-1", "cifar-10-batches-py", "data_batch_3"), ("mnist", "MNIST/raw", "t10k-labels-idx1-ubyte")],
)
@pytest.mark.parametrize("download", [True, False])
def test_a_truncated_file_is_named_and_not_read(real_data_root, tmp_path, name, folder, file, download):
    damaged = linked(real_data_root / folder, tmp_path / folder) / file
    raw = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=rf"{file} is damaged .* delete it and get it again"):
        load_protocol(name, tmp_path, download=download)


def test_a_truncated_file_among_absent_ones_is_named_before_anything_is_downloaded(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"half")
    with pytest.raises(DataError, match="test_batch is damaged"):
        load_protocol("cifar10-1", tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [("cifar10-1", "cifar-10-python.tar.gz"), ("cifar100", "cifar-100-python.tar.gz"), ("mnist", "MNIST/raw")],
)
def test_offline_it_says_what_to_put_where(tmp_path, offline, name, file):
    pytest.importorskip("torchvision")
    with pytest.raises(DataError, match=rf"cannot download into .* Put .*{file}"):
        load_protocol(name, tmp_path)
    with pytest.raises(DataError, match=rf"there is no file .* Put .*{file}"):
        load_protocol(name, tmp_path, download=False)
    with pytest.raises(DataError, match=rf"{tmp_path}.* Put .*{tmp_path}"):
        load_protocol(name, tmp_path, download=False)


@pytest.mark.parametrize("name", ["cifar10-1", "mnist"])
def test_a_download_needs_torchvision_and_reading_does_not(tmp_path, real_data_root, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(MissingExtra, match=r"torchvision.*bitseek\[train\]"):
        load_protocol(name, tmp_path)
    if name == "mnist":
        assert len(load_protocol(name, real_data_root).query) == 10_000
