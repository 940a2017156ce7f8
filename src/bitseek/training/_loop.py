"""The training loop: steps that depend on nothing but the seed, their number and the state before.

Therefore a training that is killed at any step and resumed ends with the same weights, bit for bit.

Of several ranks each runs the backbone on its rows of the batch. Head and loss see the features of the whole batch on
every rank, so a loss over pairs, a memory bank or a whole-batch statistic is that of one process, whatever the method.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bitseek.codes import signs
from bitseek.errors import RunError
from bitseek.images import Features, Preprocess
from bitseek.methods import Batch, Method, forget_features
from bitseek.models import (
    Draws,
    Loader,
    any_rank,
    augment,
    derived_seed,
    gathered,
    gathered_array,
    gathered_objects,
    mean_gradients,
    place_in_whole,
    rows_of_rank,
    sum_gradients,
    synchronise_batch_norm,
)
from bitseek.runs import Hasher, encode_features
from bitseek.training._accumulation import in_parts
from bitseek.training._checkpoint import Recorder
from bitseek.training._device import default_generators
from bitseek.training._optimiser import learning_rate, make_optimiser, set_learning_rate
from bitseek.training._validation import Items, validate, validation_epochs

Progress = Callable[[Mapping[str, Any]], None]
"""Called twice a second with: epoch, epochs, step, steps, terms (of the loss), images_per_second, seconds_left."""

SECONDS_BETWEEN_CALLS = 0.5
COUNTERS = ("step", "epoch", "done", "seen", "seconds", "sums", "best")


class Loop:
    """Gradient descent with one method on the training items of one run.

    Args:
        method: whose head is that of the hasher.
        hasher: on the device where to compute, with the `RunConfig` of this training; where that says `frozen` the
            items are features, and the backbone stays as it is.
        items: to train on.
        recorder: keeps metrics and checkpoints.
        compiled: run the backbone through `torch.compile`.
        accumulate: parts in which a batch goes through the backbone, see `in_parts`.
        threads: how many decode files.
        progress: called twice a second.

    Attributes:
        step: steps that were done, in all epochs.
        epoch, done: epochs that were done, and steps of the present one.
        seen, seconds, sums: items of this epoch, its time, and each measured value summed over them.
        best: score, epoch and state of the best weights on the held-out items so far.
        learner: all modules that are trained, with their buffers.
    """

    def __init__(
        self,
        method: Method,
        hasher: Hasher,
        items: Items,
        recorder: Recorder,
        *,
        compiled: bool = False,
        accumulate: int = 1,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        assert hasher.config is not None
        self.device, self.config = hasher.device, hasher.config
        self.method, self.hasher, self.items = method.to(self.device), hasher, items
        self.recipe, self.recorder, self.progress = method.recipe, recorder, progress
        self.backbone = backbone = None if self.config.frozen else hasher.backbone
        if backbone is not None:
            synchronise_batch_norm(backbone)
        self.network: Callable[[Tensor], Tensor] | None = torch.compile(backbone) if compiled and backbone else backbone
        self.accumulate = accumulate
        self.learns_backbone = backbone is not None and self.recipe.backbone_lr > 0
        self.learner = nn.ModuleDict({"method": method} | ({"backbone": backbone} if backbone is not None else {}))
        self.optimiser = make_optimiser(method, backbone if self.learns_backbone else None, self.recipe)
        self.preprocess = Preprocess() if backbone is None else backbone.preprocess
        self.loader = Loader(items.images, self.preprocess, self.device, threads=threads)
        self.loader.unreadable = items.unreadable
        self.labels = items.labels[items.train]
        self.number = np.zeros(len(items.images), np.int64)  # of each row of the images in the training set
        self.number[items.train] = np.arange(len(items.train))
        self.augmentation = torch.Generator()
        self.step, self.epoch, self.done = 0, 0, 0
        self.seen, self.seconds = 0, 0.0
        self.sums: dict[str, Tensor] = {}
        self.best: dict[str, Any] | None = None

    def run(self) -> None:
        """Train to the end, from the start or from the state that was loaded; keep the best weights if there are such.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; the step was finished and a checkpoint written.
            RunError: the loss is not finite any more, or no images can be read.
        """
        with default_generators(self.device) as self.generators, finish_step_first() as interrupted:
            if self.step == 0 and self.method.prepares:
                self.prepare()
            while self.epoch < self.recipe.epochs:
                self.run_epoch(interrupted)
        if self.best is not None:
            self.learner.load_state_dict(self.best["state"])

    @torch.no_grad()
    def prepare(self) -> None:
        """Show the method the features of all training items, of the backbone as it is now."""
        rows = self.items.train
        if self.backbone is None:
            assert isinstance(self.items.images, Features)
            features = self.items.images.rows(rows)
        else:
            found = encode_features(self.backbone, self.items.images, rows, threads=self.loader.threads)
            self.items.unreadable.update(found.unreadable)
            rows, features = found.ids, found.features
        labels = torch.from_numpy(self.items.labels.multi_hot(rows)).to(self.device).float()
        self._seed("prepare", 0)
        index = torch.from_numpy(self.number[rows]).to(self.device)
        self.method.prepare(torch.from_numpy(features).to(self.device), labels, index)

    def run_epoch(self, interrupted: Callable[[], bool]) -> None:
        """The rest of the present epoch."""
        order = np.random.default_rng(derived_seed(self.config.seed, "order", self.epoch))
        batches = list(self.method.sample(self.labels, order))
        self._seed("epoch", self.epoch)
        if self.done == 0:
            forget_features(self.method.head)
            self.method.start_epoch(self.epoch)
        set_learning_rate(self.optimiser, learning_rate(self.recipe, self.epoch))
        self.learner.train()
        if self.backbone is not None:
            self.backbone.train(self.learns_backbone)
        clock, called = time.perf_counter() - self.seconds, 0.0
        parts = (self.items.train[batch] for batch in batches[self.done :])
        for rows, images in self.loader.batches(part[rows_of_rank(len(part))] for part in parts):
            terms = self.take_step(rows, images, (self.epoch + self.done / len(batches)) / self.recipe.epochs)
            self.done += 1
            now = time.perf_counter()
            self.seconds = now - clock
            if self.progress and (now - called > SECONDS_BETWEEN_CALLS or self.done == len(batches)):
                called = now
                self.progress(self._so_far(terms, len(batches)))
            stop, due = any_rank([interrupted(), self.recorder.due and self.done < len(batches)], self.device)
            if stop or due:
                self.recorder.checkpoint(self.state())
                clock += time.perf_counter() - now
            if stop:
                raise KeyboardInterrupt
        self._end_epoch()

    def take_step(self, rows: np.ndarray, images: Tensor, progress: float) -> dict[str, Tensor]:
        """One step of gradient descent.

        Args:
            rows: (r,) which rows of the items' images this rank has; those of all ranks are the batch of b.
            images: (r, 3, h, w) pixels or (r, D) features.
            progress: share of the training that is done.

        Returns:
            the loss, its terms and the codeword accuracy by name; nothing for fewer than 2 items, which batch norm
            cannot normalise (the others of the batch were unreadable).
        """
        self.step += 1
        own, rows = place_in_whole(len(rows), self.device), gathered_array(rows, self.device)
        if len(rows) < 2:
            return {}
        self._seed("backbone", self.step)
        features = self.features_of(images, own, len(rows))
        self._seed("step", self.step)  # anew: what a backbone drew for its rows shall not change what the loss draws
        logits = self.method.head(features)
        labels = torch.from_numpy(self.items.labels.multi_hot(rows)).to(self.device).float()
        index = torch.from_numpy(self.number[rows]).to(self.device)
        terms = self.method.loss(Batch(logits=logits, features=features, labels=labels, index=index, progress=progress))
        loss = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.backbone is not None and self.learns_backbone:
            sum_gradients(self.backbone.parameters())
        mean_gradients(self.method.parameters())
        self.optimiser.step()
        measured = {"loss": loss.detach(), **{name: term.detach() for name, term in terms.items()}}
        if (codewords := self.method.codewords()) is not None:
            measured["codeword_accuracy"] = codeword_accuracy(logits.detach()[: len(rows)], codewords, labels)
        for name, value in measured.items():
            self.sums[name] = self.sums.get(name, 0) + len(rows) * value
        self.seen += len(rows)
        return measured

    def features_of(self, images: Tensor, own: slice, total: int) -> Tensor:
        """(v·b, D) features of v augmented views of the b images of all ranks; features are not augmented.

        Args:
            images: (r, 3, h, w) pixels or (r, D) features of this rank.
            own: their places in the batch.
            total: b.
        """
        if self.network is None:
            return gathered(images).repeat(self.method.views, 1)
        self.augmentation.manual_seed(derived_seed(self.config.seed, "augment", self.step))
        draws = Draws(self.augmentation, total, own)
        views = [
            augment(images, kind, self.preprocess, draws, mirror=self.items.mirror) for kind in self.method.augments
        ]
        inputs = torch.cat(views).contiguous(memory_format=torch.channels_last)
        with (
            torch.set_grad_enabled(self.learns_backbone),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16),
        ):
            features = in_parts(self.network, inputs, self.accumulate).float()
        return torch.cat([gathered(view) for view in features.chunk(len(views))])

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on; to be called by every rank."""
        self._share_unreadable()
        return {
            **{name: getattr(self, name) for name in COUNTERS},
            "unreadable": self.items.unreadable,
            "learner": self.learner.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.learner.load_state_dict(state["learner"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name in COUNTERS:
            setattr(self, name, state[name])
        self.sums = {name: total.to(self.device) for name, total in self.sums.items()}
        self.items.unreadable.update(state["unreadable"])

    def _seed(self, purpose: str, number: int) -> None:
        """Seed the generators that dropout and random bits draw from.

        `torch.manual_seed` would also queue a call, with its traceback, for a GPU that is never initialised.
        """
        for generator in self.generators:
            generator.manual_seed(derived_seed(self.config.seed, purpose, number))

    def _end_epoch(self) -> None:
        self.epoch, self.done = self.epoch + 1, 0
        self._share_unreadable()
        unreadable = self.items.unreadable
        if not self.seen:
            raise RunError(
                f"no batch of epoch {self.epoch} had 2 items that could be read, so nothing was trained; "
                f"{len(unreadable)} of {len(self.items.train)} training items are unreadable"
                + "".join(f": {message}" for message in list(unreadable.values())[:1])
            )
        record: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            **{name: round(float(total / self.seen), 6) for name, total in self.sums.items()},
            "lr": self.optimiser.param_groups[-1]["lr"],
            "images_per_second": round(self.seen / max(self.seconds, 1e-9), 1),
            "seconds": round(self.seconds, 3),
            "skipped": len(unreadable),
        }
        if not np.isfinite(record["loss"]):
            self.recorder.empty = True  # resuming would only repeat it
            raise RunError(
                f"the loss is {record['loss']} in epoch {self.epoch}: training diverged; try a smaller lr "
                "(--set lr=…), or look for images that are all of one colour"
            )
        if len(self.items.held_out) and self.epoch in validation_epochs(self.recipe.epochs):
            record["validation_mAP"] = round(self._keep_best(), 6)
        self.sums, self.seen, self.seconds = {}, 0, 0.0
        self.recorder.log(record)
        if any_rank([self.recorder.due], self.device)[0]:
            self.recorder.checkpoint(self.state())

    def _share_unreadable(self) -> None:
        for found in gathered_objects(self.items.unreadable):
            self.items.unreadable.update(found)

    def _keep_best(self) -> float:
        """The score of the present weights, which are kept unless earlier ones were better: of equal ones the last."""
        score = validate(self.hasher, self.items, self.config, self.loader.threads)
        if self.best is None or score >= self.best["score"]:
            state = {name: tensor.detach().clone() for name, tensor in self.learner.state_dict().items()}
            self.best = {"score": score, "epoch": self.epoch, "state": state}
        return score

    def _so_far(self, terms: Mapping[str, Tensor], steps: int) -> dict[str, Any]:
        left = (steps - self.done + steps * (self.recipe.epochs - self.epoch - 1)) * self.seconds / self.done
        return {
            "epoch": self.epoch + 1,
            "epochs": self.recipe.epochs,
            "step": self.epoch * steps + self.done,
            "steps": steps * self.recipe.epochs,
            "terms": {name: float(value) for name, value in terms.items()},
            "images_per_second": self.seen / max(self.seconds, 1e-9),
            "seconds_left": left,
        }


def codeword_accuracy(logits: Tensor, codewords: Tensor, labels: Tensor) -> Tensor:
    """Share of the items whose nearest codeword, by Hamming distance, is that of one of their classes."""
    nearest = (signs(logits) @ codewords.T.to(logits)).argmax(dim=1, keepdim=True)
    return labels.gather(1, nearest).mean()


@contextmanager
def finish_step_first() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is only noted, so that no step is cut in two; a second one interrupts at once.

    Gives a function that says whether it was pressed. Outside of the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    noted = threading.Event()

    def note(*_: Any) -> None:
        noted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, before)
