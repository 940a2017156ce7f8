"""One word that loads a model, whatever form it has."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Union

from bitseek._files import FilePath, read_json, user_path
from bitseek._hub import fetch
from bitseek.errors import RunError
from bitseek.images import printable
from bitseek.portable._onnx_file import metadata_of, read_onnx
from bitseek.portable._onnx_hasher import MODEL, OnnxHasher

if TYPE_CHECKING:
    import bitseek.runs

_RUN = "config.json"
_RUN_FILES = (_RUN, "model.safetensors", "report.json", "README.md")
_ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def load(
    model: FilePath, *, device: str = "cpu", threads: int | None = None
) -> Union["bitseek.runs.Hasher", OnnxHasher]:
    """A model, ready to encode.

    Args:
        model: a run folder; an ONNX file that `export_onnx` or `quantise` wrote; a folder with `model.onnx`; or, where
            nothing has that path, the name `org/name` of a model on the Hugging Face hub.
        device: where a run computes: cpu, cuda, cuda:1, mps or auto. An ONNX file computes on the CPU.
        threads: on which an ONNX file is run; by default one a processor. A run has torch's own number.

    Returns:
        A `Hasher` of a run, for which torch is imported, else an `OnnxHasher`.

    Raises:
        BitseekError: nothing of that name, something else, or a model that is damaged.
    """
    path = user_path(model)
    if path.is_file():
        return _onnx(path, device, threads)
    if (path / _RUN).is_file() or not (path / MODEL).is_file():
        if not path.exists() and isinstance(model, str) and _ON_THE_HUB.fullmatch(model):
            return _from_hub(model, device, threads)
        if not path.exists():  # which needs no torch to be said
            raise RunError(
                f"there is no file or folder {printable(path)}; a model is a run folder, a FILE.onnx, or the org/name "
                "of one on the hub"
            )
        return _run(path, device)
    return _onnx(path / MODEL, device, threads)


def fingerprint_of(model: FilePath) -> str | None:
    """The fingerprint that a model on this machine says it has, found out without loading its network.

    None if nothing is there, as of a model of the hub, or what is there says none.

    Raises:
        BitseekError: it is damaged.
    """
    path = user_path(model)
    if (path / _RUN).is_file():
        config = read_json(path / _RUN)
        said = config.get("fingerprint") if isinstance(config, dict) else None
        return said if isinstance(said, str) else None
    file = path if path.is_file() else path / MODEL
    return metadata_of(read_onnx(file)).fingerprint if file.is_file() else None


def _onnx(path: Path, device: str, threads: int | None) -> OnnxHasher:
    if device not in ("cpu", "auto"):
        raise RunError(
            f"{printable(path)} is run by onnxruntime on the CPU, not on {device!r}; leave the device out, or load the "
            "run that it was exported from"
        )
    return OnnxHasher(path, threads=threads)


def _run(path: Path, device: str) -> "bitseek.runs.Hasher":
    from bitseek.runs import Hasher

    return Hasher.load(path, device=device)


def _from_hub(name: str, device: str, threads: int | None) -> Union["bitseek.runs.Hasher", OnnxHasher]:
    """A run, or else an ONNX file, of the hub."""
    folder = fetch(name, (*_RUN_FILES, MODEL))
    return load(folder, device=device, threads=threads)
