"""Weights of a backbone: from a file, whose settings lie beside it or inside it, or from the hub."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from bitseek._hub import unreachable
from bitseek.errors import RunError


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file or a state dict of torch; nothing in the file is executed.

    Raises:
        RunError: no such file, or neither of the two.
    """
    if not path.is_file():
        raise RunError(f"there is no weights file {path}")
    if path.suffix.lower() == ".onnx":
        raise RunError(f"{path} is a whole model, not the weights of a backbone; give it as --model {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file raises nearly anything
        safe = path.suffix == ".safetensors"  # torch's own sentence advises to read it unsafely
        reason = _reason(error) if safe else "nothing but tensors is read from it, since more could be a program"
        raise RunError(f"{path} is neither safetensors nor a plain state dict: {reason}") from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise RunError(f"{path} holds no state dict: tensors by name are expected")
    return {key.removeprefix("module."): value for key, value in state.items()}


def read_settings(path: Path) -> dict[str, Any]:
    """Options of the backbone that belong to a weights file, such as `{"pad_type": "same", "mean": 0.5, "std": 0.5}`.

    They are the JSON object in the file `NAME.json` beside the weights file NAME, or under the key `bitseek` of a
    safetensors file's metadata; the file beside it comes first. No settings is the empty dictionary.

    Raises:
        RunError: settings that are not a JSON object.
    """
    beside = path.with_name(f"{path.name}.json")
    text = "{}"
    try:
        if beside.is_file():
            text = beside.read_text(encoding="utf-8")
        elif path.suffix == ".safetensors" and path.is_file():
            with suppress(SafetensorError), safe_open(path, "pt") as file:  # a damaged file is refused when it is read
                text = (file.metadata() or {}).get("bitseek", text)
        settings = json.loads(text)
        if not isinstance(settings, dict):
            raise ValueError("it is not an object")
    except (OSError, ValueError) as error:
        raise RunError(f"the settings that belong to {path} are no JSON object of options: {error}") from error
    return settings


def load_weights(network: nn.Module, path: Path, name: str, classifier: tuple[str, ...]) -> None:
    """Load a file into a network; the weights of its classifier, which a hasher has no use for, are left out.

    Raises:
        RunError: no such file, or tensors that do not fit.
    """
    state = {key: value for key, value in read_state(path).items() if not key.startswith(classifier or ("\0",))}
    own = network.state_dict()
    missing = sorted(key for key in own.keys() - state.keys() if not key.endswith("num_batches_tracked"))
    unexpected = sorted(state.keys() - own.keys())
    other = sorted(key for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    what = [
        f"{len(keys)} {word} (such as {keys[0]})"
        for word, keys in (("missing", missing), ("unknown", unexpected), ("of another shape", other))
        if keys
    ]
    if what:
        raise RunError(f"the weights in {path} do not fit {name}: tensors {', '.join(what)}")
    network.load_state_dict(state, strict=False)


def digest_of(state: dict[str, Tensor]) -> str:
    """32 hexadecimal digits of tensors and their names (BLAKE2b)."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def download(name: str, build: Callable[[], Any], repository: str | None, file: str | None) -> Any:
    """Build a network with published weights: from the cache, else from the network, without waiting where none is.

    Args:
        name: of the backbone.
        build: builds the network, and downloads.
        repository: of the Hugging Face hub that the weights come from; None for another host.
        file: which one has the weights, for who must get it elsewhere; None where that is not known.

    Raises:
        RunError: they cannot be downloaded; the message says which file to get, and what to do without.
    """
    try:
        if repository is not None:
            try:
                with _offline():
                    return build()
            except OSError:
                if (away := unreachable(repository)) is not None:
                    raise OSError(f"the hub cannot be reached: {away}") from None
        return build()
    except (OSError, RuntimeError) as error:
        raise RunError(
            f"the weights of {name} cannot be downloaded ({type(error).__name__}: {_reason(error)}); get "
            f"{file or 'them'} elsewhere and give --weights FILE (safetensors or a state dict), or start from "
            "scratch with --weights none"
        ) from error


@contextmanager
def _offline() -> Iterator[None]:
    """The hub's client looks into its cache only."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
