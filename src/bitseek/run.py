"""The run folder: what one training leaves behind.

```
config.json         everything needed to repeat it: method, protocol and its checksum, recipe, seed, versions
model.safetensors   hasher.* (backbone and head) and method.* (codebook, classifier, memory)
metrics.jsonl       one line an epoch
report.json         the last evaluation
README.md           a model card
checkpoint/         from which a killed run resumes; removed when the run is complete
```
Every file is written whole or not at all, and no file is unpickled.
"""

import json
import os
import platform
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bitseek import __version__
from bitseek.atomic import atomic
from bitseek.errors import RunError
from bitseek.methods import method_class
from bitseek.methods.base import Task
from bitseek.models.backbone import build_backbone
from bitseek.models.hasher import Hasher

CONFIG, MODEL, METRICS, REPORT, CHECKPOINT = (
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "report.json",
    "checkpoint",
)


def read_config(run: str | os.PathLike[str]) -> dict[str, Any]:
    """The configuration of a run.

    Raises:
        RunError: the folder is not a run, or its configuration is damaged.
    """
    path = Path(run) / CONFIG
    try:
        config = json.loads(path.read_text())
        if not isinstance(config, dict) or "method" not in config:
            raise ValueError("it does not look like the configuration of a run")
    except FileNotFoundError as error:
        raise RunError(
            f"{run} is not a run folder: there is no {CONFIG} in it; make one with: bitseek train"
        ) from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    return config


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, atomically."""
    with atomic(path) as part:
        part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def environment(device: torch.device) -> dict[str, str]:
    """Versions and hardware, for the record."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "bitseek": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": f"{device.type} ({name}, {torch.get_num_threads()} threads)",
    }


def write_checkpoint(run: Path, state: dict[str, Any]) -> None:
    """Keep the state of an unfinished training, atomically."""
    folder = run / CHECKPOINT
    folder.mkdir(exist_ok=True)
    with atomic(folder / "state.pt") as part:
        torch.save(state, part)


def read_checkpoint(run: Path) -> dict[str, Any] | None:
    """The state of an unfinished training; None if there is none yet.

    Raises:
        RunError: the file is damaged.
    """
    path = run / CHECKPOINT / "state.pt"
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive brings about nearly anything
        raise RunError(f"the checkpoint {path} is damaged; remove it to start this run anew") from error
    return state


def task_of(config: dict[str, Any]) -> Task:
    """What the method of a run was trained on."""
    return Task(
        features=config["features"],
        bits=config["bits"],
        classes=len(config["classes"]),
        items=config["items"],
        multi_label=config["multi_label"],
        seed=config["seed"],
    )


def save_model(path: Path, hasher: Hasher, method: nn.Module) -> None:
    """Write the weights of a hasher and what its method knows beside the head, atomically."""
    state = {f"hasher.{name}": tensor for name, tensor in hasher.state_dict().items()}
    state |= {f"method.{k}": v for k, v in method.state_dict().items() if not k.startswith("head.")}
    with atomic(path) as part:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}, part)


def read_model(run: str | os.PathLike[str], prefix: str = "hasher.") -> dict[str, Tensor]:
    """The tensors of a run's model whose names begin with `prefix`, without it."""
    path = Path(run) / MODEL
    if not path.is_file():
        raise RunError(
            f"the run {run} has no {MODEL}: its training was not finished; go on with: bitseek train --resume"
        )
    try:
        with safe_open(path, "pt") as file:
            return {k.removeprefix(prefix): file.get_tensor(k) for k in file.keys() if k.startswith(prefix)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def load(run: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Hasher:
    """The hasher that a run trained, ready to encode.

    Args:
        run: a run folder.
        device: where it shall compute.

    Raises:
        RunError: not a run folder, an unfinished run, or a damaged file.
    """
    config = read_config(run)
    try:
        spec = config["backbone"]
        backbone = build_backbone(spec["name"], **spec["options"], **spec["transform"])
        cls = method_class(config["method"])
        recipe = cls.recipe_class().changed(**config["recipe"])
        hasher = Hasher(backbone, cls.build_head(task_of(config), recipe), config["bits"])
        state = read_model(run)
        hasher.codewords = state.get("codewords")
        hasher.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError) as error:
        raise RunError(f"the run {run} does not fit this version of bitseek ({__version__}): {error}") from error
    return hasher.to(device).eval()
