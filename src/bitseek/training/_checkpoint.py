"""What a training writes into its run folder before its end, and what a resumed one reads from it."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from bitseek._files import atomic
from bitseek.errors import MissingExtra, RunError
from bitseek.runs import CHECKPOINT, METRICS, RunConfig, make_run_folder, read_history

CONFIG, STATE = "config.json", f"{CHECKPOINT}/state.pt"


class Recorder:
    """Configuration, metrics, checkpoints and TensorBoard curves of one training.

    From `open` on there is a checkpoint, at first an empty one, so that no second training takes the folder. At the end
    of the context it is removed if the training is done, or failed with nothing to resume from. A run folder with
    neither a checkpoint nor a model is of such a failed training, and the next one, of any configuration, replaces it.

    Args:
        folder: of the run; None records nothing.
        seconds: least time between two checkpoints; 0 makes one after every step.
        tensorboard: also write the curves for TensorBoard, into `tensorboard/`.

    Attributes:
        empty: whether the checkpoint has nothing to resume from.
    """

    def __init__(self, folder: Path | None, *, seconds: float = 60.0, tensorboard: bool = False) -> None:
        self.folder, self.seconds = folder, seconds
        self.empty, self.saved_at = True, time.perf_counter()
        self.tensorboard = _summary_writer() if tensorboard and folder is not None else None
        self.curves: Any = None

    def open(self, config: RunConfig, *, resume: bool) -> dict[str, Any] | None:
        """Make the run folder, or find in it where an earlier training of the same run stopped.

        Returns:
            the state that `checkpoint` wrote last, empty for a training that starts; None if the run is complete.

        Raises:
            RunError: the folder holds a run already, or something else, or a damaged checkpoint.
        """
        if self.folder is None:
            return {}
        stored = RunConfig.read(self.folder) if (self.folder / CONFIG).is_file() else None
        if stored is None or not (stored.fingerprint or (self.folder / STATE).is_file()):
            make_run_folder(self.folder)
            config.write(self.folder)
            self.checkpoint({})
        elif not resume:
            raise RunError(f"{self.folder} holds a run already; go on with it by --resume, or give another --out")
        else:
            self._check_same(config, stored)
            if stored.complete:
                return None
        state = self._read()
        done = [record for record in read_history(self.folder) if record["epoch"] <= state.get("epoch", 0)]
        with atomic(self.folder / METRICS) as part:
            part.write_text("".join(f"{json.dumps(record)}\n" for record in done))
        if self.tensorboard is not None:
            self.curves = self.tensorboard(str(self.folder / "tensorboard"))
        return state

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self.curves is not None:
            self.curves.close()
        if self.folder is not None and (error is None or self.empty):
            (self.folder / STATE).unlink(missing_ok=True)
            with suppress(OSError):  # not empty: something of the user's is in it
                (self.folder / CHECKPOINT).rmdir()

    def log(self, record: Mapping[str, Any]) -> None:
        """Add what was measured in one epoch."""
        if self.folder is None:
            return
        with (self.folder / METRICS).open("a") as file:
            file.write(f"{json.dumps(record)}\n")
        for name, value in record.items() if self.curves is not None else ():
            self.curves.add_scalar(name, value, record["epoch"])

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.folder is not None and time.perf_counter() - self.saved_at >= self.seconds

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep all that the rest of the training depends on, atomically."""
        if self.folder is None:
            return
        (self.folder / CHECKPOINT).mkdir(exist_ok=True)
        with atomic(self.folder / STATE) as part:
            torch.save(dict(state), part)
        self.empty, self.saved_at = not state, time.perf_counter()

    def _read(self) -> dict[str, Any]:
        assert self.folder is not None
        path = self.folder / STATE
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else {}
        except Exception as error:  # a damaged archive raises nearly anything
            raise RunError(f"the checkpoint {path} is damaged; remove it to start this run anew") from error
        self.empty = not state
        return state

    def _check_same(self, config: RunConfig, stored: RunConfig) -> None:
        # The checksum says which split it is; where its data are may have changed.
        for name in (name for name in config.differing(stored) if name != "origin"):
            before, now = getattr(stored, name), getattr(config, name)
            raise RunError(
                f"{self.folder} is another run: its {name} is {before!r}, not {now!r}; "
                "resume with what it was started with, or give another --out"
            )


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "plots") from error
    return SummaryWriter
