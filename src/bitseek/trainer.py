"""The training loop: steps that depend on nothing but the seed, their number and the state before.

That is why a run that was killed at any step goes on to the very weights that it would have had.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bitseek.data import Protocol
from bitseek.data.pool import Features, Images
from bitseek.encode import encode, encode_features
from bitseek.errors import BitseekError, MissingExtra, RunError
from bitseek.feed import Feed
from bitseek.methods.base import Batch, Method
from bitseek.metrics import retrieval
from bitseek.models.augment import augment
from bitseek.models.backbone import Backbone
from bitseek.models.hasher import Hasher
from bitseek.run import METRICS, write_checkpoint

Progress = Callable[[Mapping[str, Any]], None]
"""Told now and then how far training is: epoch, epochs, step, steps, loss terms, images_per_second, seconds_left."""

CHECKPOINT_SECONDS = 60.0
VALIDATIONS = 10


class Trainer:
    """One training of one method on one protocol.

    Args:
        method: with its head and recipe.
        backbone: images → features.
        protocol: whose training items are used, and nothing else of it.
        out: run folder for metrics and checkpoints, which exists; None keeps nothing.
        seed: of everything that is drawn.
        frozen: leave the backbone as it is: its features are computed once, without augmentation.
        validation: share of the training items that is held out; the best weights on them are kept.
        device: where to compute.
        bf16: run the backbone under bfloat16 autocast; head and loss are always float32.
        compiled: run the backbone through `torch.compile`.
        threads: how many decode files.
        checkpoint_seconds: least time between two checkpoints; 0 makes one after every step.
        tensorboard: also log the curves for TensorBoard, into `out/tensorboard`.
        progress: told twice a second.
    """

    def __init__(
        self,
        method: Method,
        backbone: Backbone,
        protocol: Protocol,
        *,
        out: Path | None = None,
        seed: int = 0,
        frozen: bool = False,
        validation: float = 0.0,
        device: torch.device | str = "cpu",
        bf16: bool = False,
        compiled: bool = False,
        threads: int | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        tensorboard: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.method, self.recipe = method.to(self.device), method.recipe
        self.backbone = backbone.to(self.device)
        self.hasher = Hasher(self.backbone, method.head, method.task.bits, self.device)
        self.protocol, self.pool = protocol, protocol.pool
        self.out, self.seed, self.bf16 = out, seed, bf16
        self.network: Callable[[Tensor], Tensor] = torch.compile(backbone) if compiled else backbone
        self.threads, self.checkpoint_seconds = threads, checkpoint_seconds
        self.writer = _tensorboard(out) if tensorboard and out is not None else None
        self.progress = progress or (lambda _: None)
        self.step, self.epoch, self.done = 0, 0, 0
        self.saved_at = time.perf_counter()
        self.sums: dict[str, Tensor] = {}
        self.seen, self.seconds = 0, 0.0
        self.best: dict[str, Any] | None = None
        self.skipped = 0
        train, self.held_out = hold_out(protocol.train, validation, seed)
        images: Images = self.pool.images
        self.frozen = frozen or not method.by_gradient or isinstance(images, Features)
        if self.frozen and not isinstance(images, Features):
            features = encode_features(self.backbone, images, train, threads=threads)
            train, images = features.ids, Features((features.logits,))
            self.skipped = len(features.unreadable)
        self.train_ids = train
        self.feed_ids = train if images is self.pool.images else np.arange(len(train))
        self.position = np.zeros(len(images), np.int64)
        self.position[self.feed_ids] = np.arange(len(train))
        self.feed = Feed(images, backbone.transform, self.device, for_training=True, threads=threads)
        self.optimiser = self._optimiser()

    # --- the loop ---------------------------------------------------------------------------------------------

    def run(self) -> Hasher:
        """Train to the end, from the start or from where `resume` left off.

        Returns:
            the hasher with its last weights, or with the best on the validation items where some are held out.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; the step was finished and a checkpoint written.
            RunError: the loss is not finite any more.
        """
        if not self.method.by_gradient:
            labels = torch.from_numpy(self.pool.multi_hot(self.train_ids)).float()
            self.method.fit(self._all_features(), labels)
            return self._finished()
        if len(self.train_ids) < 2:
            raise BitseekError(
                f"{self.protocol.name} has {len(self.train_ids)} items to train on; 2 are the least for a batch"
            )
        with finish_step_first() as interrupted:
            while self.epoch < self.recipe.epochs:
                self._epoch(interrupted)
        if self.best is not None:
            self.hasher.load_state_dict(self.best["hasher"])
        return self._finished()

    def _finished(self) -> Hasher:
        codewords = self.method.codewords()
        self.hasher.codewords = None if codewords is None else codewords.detach().clone()
        return self.hasher.eval()

    def _epoch(self, interrupted: Callable[[], bool]) -> None:
        batches = list(self.method.sample(self.pool.labels[self.train_ids], self._random(self.epoch)))
        if self.done == 0:
            self.method.start_epoch(self.epoch)
        self._set_learning_rate()
        self._train_mode()
        clock, told = time.perf_counter() - self.seconds, 0.0
        for kept, images in self.feed.batches(self.feed_ids[batch] for batch in batches[self.done :]):
            terms = self._step(kept, images, (self.epoch + self.done / len(batches)) / self.recipe.epochs)
            self.done += 1
            now = time.perf_counter()
            self.seconds = now - clock
            if now - told > 0.5 or self.done == len(batches):
                told = now
                self._tell(terms, len(batches))
            if interrupted():
                self.checkpoint()
                raise KeyboardInterrupt
            if now - self.saved_at >= self.checkpoint_seconds and self.done < len(batches):
                self.checkpoint()
                clock += time.perf_counter() - now
        self._end_epoch()

    def _step(self, ids: np.ndarray, images: Tensor, progress: float) -> dict[str, Tensor]:
        """One step of gradient descent on one batch."""
        self.step += 1
        seed_step(self._number(self.step), self.device)
        if len(ids) < 2:  # batch norm has no variance over one item; the others of this batch were unreadable
            return {}
        positions = self.position[ids]
        features = self._features(images)
        logits = self.method.head(features)
        labels = torch.from_numpy(self.pool.multi_hot(self.train_ids[positions])).to(self.device).float()
        terms = self.method.loss(
            Batch(
                logits=logits,
                features=features,
                labels=labels,
                index=torch.from_numpy(positions).to(self.device),
                progress=progress,
            )
        )
        loss = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        measured = {"loss": loss.detach(), **{name: term.detach() for name, term in terms.items()}}
        if (codewords := self.method.codewords()) is not None:
            measured["codeword_accuracy"] = codeword_accuracy(logits.detach()[: len(ids)], codewords, labels)
        for name, value in measured.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=self.device)) + len(ids) * value
        self.seen += len(ids)
        return measured

    def _features(self, images: Tensor) -> Tensor:
        if self.frozen:
            return images.float() if self.method.views == 1 else images.float().repeat(self.method.views, 1)
        generator = torch.Generator().manual_seed(self._number(self.step))
        transform, kind, mirror = self.backbone.transform, self.recipe.augment, self.pool.mirror
        views = [augment(images, kind, transform, generator, mirror=mirror) for _ in range(self.method.views)]
        with self._autocast():
            return self.network(torch.cat(views).contiguous(memory_format=torch.channels_last)).float()

    def _end_epoch(self) -> None:
        self.epoch, self.done = self.epoch + 1, 0
        record: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            **{name: round(float(total / max(self.seen, 1)), 6) for name, total in self.sums.items()},
            "lr": self.optimiser.param_groups[-1]["lr"],
            "images_per_second": round(self.seen / max(self.seconds, 1e-9), 1),
            "seconds": round(self.seconds, 3),
            "skipped": self.skipped + len(self.feed.unreadable),
        }
        if not np.isfinite(record.get("loss", 0.0)):
            raise RunError(
                f"the loss is {record['loss']} in epoch {self.epoch}: training went astray; try a smaller lr "
                "(--set lr=…), or look for images that are all of one colour"
            )
        if len(self.held_out) and self.epoch in validation_epochs(self.recipe.epochs):
            record["validation_mAP"] = self._validate()
        self.sums, self.seen, self.seconds = {}, 0, 0.0
        if self.writer is not None:
            for name, value in record.items():
                self.writer.add_scalar(name, value, self.epoch)
        if self.out is not None:
            with (self.out / METRICS).open("a") as file:
                file.write(json.dumps(record) + "\n")
            if time.perf_counter() - self.saved_at >= self.checkpoint_seconds:
                self.checkpoint()

    # --- state ------------------------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """Write all that the rest of the training depends on, atomically."""
        if self.out is None:
            return
        write_checkpoint(
            self.out,
            {
                "step": self.step,
                "epoch": self.epoch,
                "done": self.done,
                "sums": self.sums,
                "seen": self.seen,
                "seconds": self.seconds,
                "best": self.best,
                "method": self.method.state_dict(),
                "backbone": {} if self.frozen else self.backbone.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
        )
        self.saved_at = time.perf_counter()

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what `checkpoint` wrote."""
        self.method.load_state_dict(state["method"])
        if not self.frozen:
            self.backbone.load_state_dict(state["backbone"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name in ("step", "epoch", "done", "sums", "seen", "seconds", "best"):
            setattr(self, name, state[name])
        self.sums = {name: total.to(self.device) for name, total in self.sums.items()}

    # --- parts ------------------------------------------------------------------------------------------------

    def _all_features(self) -> Tensor:
        return torch.cat([batch.cpu() for _, batch in self.feed.batches([self.feed_ids])])

    def _optimiser(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        groups: list[dict[str, Any]] = [{"params": list(self.method.parameters()), "factor": 1.0}]
        backbone = [] if self.frozen or recipe.backbone_lr == 0 else list(self.backbone.parameters())
        groups.insert(0, {"params": backbone, "factor": recipe.backbone_lr})
        groups = [group for group in groups if group["params"]] or [{"params": [torch.zeros(1)], "factor": 1.0}]
        lr, decay = recipe.lr, recipe.weight_decay
        if recipe.optimiser == "sgd":
            return torch.optim.SGD(groups, lr, momentum=0.9, weight_decay=decay)
        if recipe.optimiser == "rmsprop":
            return torch.optim.RMSprop(groups, lr, weight_decay=decay)
        return torch.optim.Adam(groups, lr, weight_decay=decay)

    def _set_learning_rate(self) -> None:
        dropped = self.epoch >= int(self.recipe.drop_at * self.recipe.epochs)
        lr = self.recipe.lr * (self.recipe.drop_by if dropped else 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["factor"]

    def _train_mode(self) -> None:
        self.method.train()
        self.backbone.train(not self.frozen and self.recipe.backbone_lr > 0)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def _random(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, epoch))

    def _number(self, step: int) -> int:
        return int(np.random.SeedSequence((self.seed, step)).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def _tell(self, terms: Mapping[str, Tensor], steps: int) -> None:
        left = (steps - self.done + steps * (self.recipe.epochs - self.epoch - 1)) * self.seconds / self.done
        self.progress(
            {
                "epoch": self.epoch + 1,
                "epochs": self.recipe.epochs,
                "step": self.epoch * steps + self.done,
                "steps": steps * self.recipe.epochs,
                "terms": {name: float(value) for name, value in terms.items()},
                "images_per_second": self.seen / max(self.seconds, 1e-9),
                "seconds_left": left,
            }
        )

    def _validate(self) -> float:
        """MAP of the held-out items in the training items; the best weights so far are kept, as a copy."""
        asked = encode(self.hasher, self.pool.images, self.held_out, threads=self.threads)
        if self.frozen and not isinstance(self.pool.images, Features):
            with torch.inference_mode():
                stored = self.hasher.head.eval()(self._all_features().to(self.device)).float().cpu().numpy()
            ids = self.train_ids
            searched = type(asked)(ids, stored, {})
        else:
            searched = encode(self.hasher, self.pool.images, self.train_ids, threads=self.threads)
        labels = self.pool.labels
        score = retrieval(asked.codes, searched.codes, labels[asked.ids], labels[searched.ids]).mAP
        if self.best is None or score > self.best["score"]:
            state = {name: tensor.detach().clone() for name, tensor in self.hasher.state_dict().items()}
            self.best = {"score": score, "epoch": self.epoch, "hasher": state}
        self._train_mode()
        return round(score, 6)


def hold_out(train: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training items cut in two at random: those to learn from, and a share of them to choose the best weights on."""
    if not 0 <= share < 1:
        raise BitseekError(f"validation is a share of the training items, 0 or more and below 1; got {share}")
    order = np.random.default_rng((seed, 0x5EED)).permutation(len(train))
    held = order[: round(share * len(train))]
    return np.delete(train, held), train[np.sort(held)]


def validation_epochs(epochs: int) -> set[int]:
    """After which epochs, 1 … epochs, the held-out items are looked at: about ten times, and at the end."""
    return {epochs} | set(range(max(1, epochs // VALIDATIONS), epochs, max(1, epochs // VALIDATIONS)))


def codeword_accuracy(logits: Tensor, codewords: Tensor, labels: Tensor) -> Tensor:
    """Share of the items whose nearest codeword, by Hamming distance, is that of one of their classes."""
    signs = torch.where(logits >= 0, 1.0, -1.0)
    nearest = (signs @ codewords.T.to(signs)).argmax(dim=1, keepdim=True)
    return labels.gather(1, nearest).mean()


def seed_step(number: int, device: torch.device) -> None:
    """Seed the generators that a step may draw from (dropout, random bits).

    `torch.manual_seed` would also queue a call, with its traceback, for a CUDA that is never initialised, every time.
    """
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)


@contextmanager
def finish_step_first() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is only noted, so that no step is cut in two; a second one interrupts at once.

    Gives a function that tells whether it was pressed. Outside of the main thread nothing is changed.
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


def _tensorboard(out: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "plots") from error
    return SummaryWriter(str(out / "tensorboard"))
