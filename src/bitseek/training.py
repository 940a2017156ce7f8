"""Training a hasher with a method on a protocol, into a run folder."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from bitseek.atomic import atomic
from bitseek.card import model_card
from bitseek.data import Protocol
from bitseek.data import protocol as load_protocol
from bitseek.data.pool import Features, Pixels, Pool
from bitseek.errors import BitseekError, RunError
from bitseek.methods import method_class
from bitseek.models.backbone import Backbone, build_backbone
from bitseek.models.hasher import Hasher
from bitseek.run import (
    CHECKPOINT,
    CONFIG,
    METRICS,
    MODEL,
    environment,
    load,
    read_checkpoint,
    read_config,
    save_model,
    task_of,
    write_json,
)
from bitseek.trainer import CHECKPOINT_SECONDS, Progress, Trainer

SMALL = 64
"""Images of at most this side are shown whole to a backbone, and go to `small-cnn` by default."""

NOT_COMPARED = ("environment", "complete", "fingerprint", "seconds")


def train(
    method: str,
    protocol: str | Protocol,
    *,
    bits: int = 64,
    backbone: str | None = None,
    weights: str | Path | None = "auto",
    backbone_options: Mapping[str, Any] | None = None,
    size: int | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    frozen: bool = False,
    validation: float = 0.0,
    root: str | Path | None = None,
    protocol_options: Mapping[str, Any] | None = None,
    device: str = "auto",
    precision: Literal["auto", "bf16", "fp32"] = "auto",
    compiled: bool = False,
    threads: int | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress | None = None,
    **recipe: Any,
) -> Hasher:
    """Train a hasher.

    Args:
        method: name of a method; see `bitseek methods`.
        protocol: name of a protocol, or one that is loaded.
        bits: length of the codes, K.
        backbone: name of a backbone; by default `small-cnn` for images of at most 64 pixels, else `resnet50`.
        weights: of the backbone: a file, `pretrained` (downloaded), None for random ones; `auto` is `pretrained`
            where there are such weights.
        backbone_options: see `build_backbone`.
        size: side of the backbone's input in pixels; by default its own, or that of small images.
        out: run folder, which must not exist, or be the same run where `resume` is set; None keeps nothing.
        seed: of the split, the initial weights, the codebook, the order and the augmentation.
        frozen: train only what the method adds to the backbone, on features computed once.
        validation: share of the training items that is held out, to keep the weights that are best on them.
        root: folder of the data; see `bitseek.data.protocol`.
        protocol_options: options of the protocol.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the best there is.
        precision: of the backbone in training: `bf16` is autocast, `auto` is that where the hardware has it.
        compiled: run the backbone through `torch.compile`.
        threads: how many decode files.
        resume: go on with a run that was stopped or killed; the result is what it would have been.
        tensorboard: also log the curves for TensorBoard.
        checkpoint_seconds: least time between two checkpoints.
        progress: told twice a second how far training is.
        recipe: hyper-parameters that differ from the method's own.

    Returns:
        the trained hasher, in evaluation mode.

    Raises:
        BitseekError: something that was given does not fit; nothing is overwritten.
        KeyboardInterrupt: stopped by Ctrl-C, after the run was left usable and ready to resume.
    """
    cls = method_class(method)
    chosen = cls.recipe_class().changed(**recipe)
    if bits < 1:
        raise BitseekError(f"a code has at least 1 bit, got bits={bits}")
    where = pick_device(device)
    data = protocol if isinstance(protocol, Protocol) else load_protocol(
        protocol, root=root, seed=seed, **(protocol_options or {})
    )  # fmt: skip
    if not len(data.train):
        raise BitseekError(f"{data.name} only measures: it has no training items; train on another protocol")
    torch.manual_seed(seed)
    network = pick_backbone(data.pool, backbone, weights, size, backbone_options)
    config = {
        "method": method,
        "protocol": data.name,
        "protocol_options": dict(protocol_options or {}),
        "checksum": data.checksum,
        "bits": bits,
        "backbone": {
            "name": network.name,
            "options": network.options,
            "transform": dataclasses.asdict(network.transform),
            "weights": _weights_digest(network),
        },
        "features": network.features,
        "classes": list(data.pool.classes),
        "multi_label": data.multi_label,
        "items": len(data.train),
        "seed": seed,
        "frozen": frozen,
        "validation": validation,
        "bf16": _autocast(where, precision),
        "recipe": dataclasses.asdict(chosen),
        "environment": environment(where),
        "complete": False,
    }
    config = json.loads(json.dumps(config))
    folder = None if out is None else Path(out)
    state = None if folder is None else _open(folder, config, resume)
    if folder is not None and state == "complete":
        return load(folder, device=where)
    module = cls(task_of(config), chosen)
    trainer = Trainer(
        module,
        network,
        data,
        out=folder,
        seed=seed,
        frozen=frozen,
        validation=validation,
        device=where,
        bf16=config["bf16"],
        compiled=compiled,
        threads=threads,
        checkpoint_seconds=checkpoint_seconds,
        tensorboard=tensorboard,
        progress=progress,
    )
    if isinstance(state, dict):
        trainer.resume(state)
    try:
        hasher = trainer.run()
    except KeyboardInterrupt:
        if folder is not None:
            _keep(folder, config | {"complete": False}, trainer.hasher, trainer)
        raise
    if folder is not None:
        _keep(folder, config | {"complete": True}, hasher, trainer)
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    return hasher


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; `auto` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        BitseekError: this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BitseekError(f"there is no device {name!r} here ({reason}); give cpu, cuda or auto") from error
    return device


def _autocast(device: torch.device, precision: str) -> bool:
    if precision not in ("auto", "bf16", "fp32"):
        raise BitseekError(f"precision is auto, bf16 or fp32, got {precision!r}")
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Without matrix tiles, bfloat16 on a CPU is emulated for half of the layers and slower than float32.
    return bool(device.type == "cpu" and torch.cpu._is_amx_tile_supported())


def pick_backbone(
    pool: Pool,
    name: str | None = None,
    weights: str | Path | None = "auto",
    size: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Backbone:
    """The backbone for the images of a pool; the arguments are those of `train`."""
    images, given = pool.images, dict(options or {})
    if isinstance(images, Features):
        if name not in (None, "features"):
            raise BitseekError(f"this protocol gives features, not images; the backbone {name} has nothing to see")
        return build_backbone("features", dim=images.dimensions)
    small = isinstance(images, Pixels) and max(images.array.shape[1:3]) <= SMALL
    name = name or ("small-cnn" if small else "resnet50")
    if small:
        given = {"crop": 1.0} | given
        side = max(images.array.shape[1:3]) if isinstance(images, Pixels) else 0
        if name == "small-cnn" and size is None:
            size = max(side, 28)
    if weights == "auto":
        weights = None if name == "small-cnn" else "pretrained"
    return build_backbone(name, weights=None if weights == "none" else weights, size=size, **given)


def _weights_digest(backbone: Backbone) -> str:
    """16 hex digits of what the backbone starts from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _open(folder: Path, config: dict[str, Any], resume: bool) -> dict[str, Any] | Literal["complete"] | None:
    """Make the run folder, or find in it where an earlier training stopped."""
    if (folder / CONFIG).is_file():
        if not resume:
            raise RunError(f"{folder} holds a run already; go on with it by --resume, or give another --out")
        stored = read_config(folder)
        differing = [k for k in config if k not in NOT_COMPARED and stored.get(k) != config[k]]
        if differing:
            key = differing[0]
            raise RunError(
                f"{folder} is another run: its {key} is {stored.get(key)!r}, not {config[key]!r}; "
                "resume with what it was started with, or give another --out"
            )
        if stored.get("complete"):
            return "complete"
        state = read_checkpoint(folder)
        lines = (folder / METRICS).read_text().splitlines() if (folder / METRICS).is_file() else []
        kept = [line for line in lines if state is not None and _epoch_of(line) <= state["epoch"]]
        with atomic(folder / METRICS) as part:
            part.write_text("".join(f"{line}\n" for line in kept))
        return state
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists and is not a run; give another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror}") from error
    write_json(folder / CONFIG, config)
    return None


def _epoch_of(line: str) -> float:
    """The epoch of a line of metrics; infinite for one that a kill has cut."""
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _keep(folder: Path, config: dict[str, Any], hasher: Hasher, trainer: Trainer) -> None:
    """Write the model, then the configuration that says whether it is complete, then the card."""
    save_model(folder / MODEL, hasher, trainer.method)
    config["fingerprint"] = hasher.fingerprint
    config["unreadable"] = sorted(trainer.feed.unreadable.values())
    write_json(folder / CONFIG, config)
    with atomic(folder / "README.md") as part:
        part.write_text(model_card(folder))
