"""The hasher: backbone, head and preprocessing together, from images to codes, with the run that it comes from."""

import copy
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Float32, UInt64
from torch import Tensor, nn

from bitseek._checks import as_ids, whole_number
from bitseek._files import FilePath, user_path
from bitseek.codes import Codes, prefix_fingerprint, trained_length
from bitseek.errors import BitseekError, RunError, ShapeError
from bitseek.images import BATCH, ImageEncoder, Images, Preprocess, Progress, as_images, tell_unreadable
from bitseek.methods import make_head, method_class
from bitseek.models import (
    Backbone,
    alone_in_torch,
    architecture,
    as_tensor,
    digest_of,
    estimate_batch_norm,
    features_of,
    pick_device,
    threads_on,
)
from bitseek.runs._config import RunConfig
from bitseek.runs._encoding import batches_for, encode, from_all_ranks, of_rank
from bitseek.runs._folder import make_run_folder, read_model, read_report, write_card, write_model
from bitseek.runs._hub import OnTheHub


class Hasher(nn.Module, ImageEncoder, OnTheHub):
    """Images to codes.

    Args:
        backbone: images → features; None for a head on features that were computed elsewhere.
        head: (b, D) features → (b, bits) logits.
        bits: length of the codes, K.
        config: of the run that trained it, if one did. Where it says `prefix_of`, the head gives that many logits, and
            the codes are of the first `bits`.
        device: where it computes.

    Attributes:
        codewords: (C, bits) ±1 target codes of the classes, where the method has them; the nearest one classifies. In a
            prefix they are those of the whole codes.
        train_items: hashes of its training items (`Pool.item_hashes`), by which they are known on other splits.
        learned: hashes of the training items whose codes its method learned beside the head, and those codes: a
            database of such items can be searched in them, by queries that the head encodes.
        report: JSON of the last evaluation on its own split, as it lay in the run folder.
    """

    codewords: Tensor | None

    def __init__(
        self,
        backbone: Backbone | None,
        head: nn.Module,
        bits: int,
        *,
        config: RunConfig | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.bits = whole_number(bits, "bits")
        self.config = config
        self.train_items: UInt64[np.ndarray, " N"] | None = None
        self.learned: tuple[UInt64[np.ndarray, " N"], Codes] | None = None
        self.report: dict[str, Any] | None = None
        self.register_buffer("codewords", None)
        if backbone is not None:
            backbone.to(memory_format=torch.channels_last)  # twice as fast on a CPU, and never slower on a GPU
        self.to(device)

    def forward(self, images: Tensor) -> Tensor:
        """(b, 3, s, s) normalised images, or (b, D) features, → (b, K) logits."""
        features = images if self.backbone is None or images.ndim == 2 else self.backbone(images)
        return self._logits(features)

    def _logits(self, features: Tensor) -> Tensor:
        """(b, D) features → (b, bits) logits: all that the head gives, or the first of them."""
        logits: Tensor = self.head(features)
        return logits if self._prefix_of is None else logits[:, : self.bits]

    @property
    def _prefix_of(self) -> int | None:
        return None if self.config is None else self.config.prefix_of

    def __repr__(self) -> str:
        of = f"{self.config.method} on {self.config.protocol}, " if self.config is not None else ""
        network = "features" if self.backbone is None else self.backbone.config.name
        return f"Hasher({of}{network} → {self.bits} bits, {self.device})"

    @property
    def device(self) -> torch.device:
        """Where the hasher computes."""
        return next(self.parameters(), next(self.buffers(), torch.zeros(0))).device

    @property
    def at_once(self) -> int:
        """How many threads may call `logits_of` at a time and gain by it: torch's on a CPU, else 1."""
        return threads_on(self.device)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths at which the first bits are codes in their own right, ascending; the last is `bits`."""
        return (self.bits,) if self.config is None else self.config.lengths

    @property
    def features(self) -> int | None:
        """D, the length of the features that its head takes; None where nobody knows."""
        if self.config is not None:
            return self.config.features
        return None if self.backbone is None else self.backbone.features

    @property
    def preprocess(self) -> Preprocess:
        """From the pixels of an image to the square that the backbone sees.

        Raises:
            BitseekError: there is no backbone, the hasher takes features.
        """
        if self.backbone is None:
            raise BitseekError(
                f"{self!r} takes features, not images: it was trained on a file of features that does not say which "
                "backbone made them, or whose weights were not there. Write the file with `bitseek features`, and "
                "train where the weights are (or with --weights FILE)"
            )
        return self.backbone.preprocess

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name these weights, this preprocessing and this code length; codes carry it.

        That of a prefix is `BASE:BITS`, where the whole hasher's is BASE.
        """
        network = "features" if self.backbone is None else f"{self.backbone.config.name} {self.backbone.preprocess!r}"
        text = f"{self._prefix_of or self.bits} {network} {digest_of(self.state_dict())}"
        base = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return base if self._prefix_of is None else prefix_fingerprint(base, self.bits)

    def prefix(self, bits: SupportsIndex) -> "Hasher":
        """The hasher of the first bits alone, with the same weights; a hasher like any other, to be measured and saved.

        Its codes are `codes.prefix(bits)` of this one's. They are another model's to a collection: it has a fingerprint
        of its own.

        Args:
            bits: one of `lengths`.

        Raises:
            CodeWidthError: the hasher was not trained for that length; the message says for which it was.
        """
        length = trained_length(bits, self.lengths, repr(self))
        if self.config is None or length == self.bits:
            return self
        first = Hasher(self.backbone, self.head, length, config=self.config.prefix(length), device=self.device)
        first.codewords, first.train_items, first.training = self.codewords, self.train_items, self.training
        return first

    def _logits_of_all(
        self, images: Images, batch_size: int, threads: int | None, progress: Progress | None
    ) -> tuple[np.ndarray, Mapping[int, str]]:
        encoded = encode(self, images, batch_size=batch_size, threads=threads, progress=progress)
        return encoded.logits, encoded.unreadable

    def logits_of(self, squares: np.ndarray) -> Float32[np.ndarray, "n bits"]:
        """Logits of one batch: (n, s, s, 3) uint8 squares of `preprocess`, or (n, D) float32 features of the backbone.

        Always in float32 and in evaluation mode: the code of an image does not depend on autocast.

        Raises:
            ShapeError: an array of another shape or type.
            BitseekError: squares, for a hasher that takes features only.
        """
        features = self._features(squares)
        try:
            with torch.inference_mode(), alone_in_torch():
                logits: np.ndarray = self._logits(features).float().cpu().numpy()
        except RuntimeError as error:
            raise ShapeError(f"the head of {self!r} does not take {features.shape[1]} features: {error}") from error
        if logits.shape[1:] != (self.bits,):
            raise ShapeError(f"the head of {self!r} gives logits {logits.shape}, not one for each of its bits")
        return logits

    def features_of(self, squares: np.ndarray) -> Float32[np.ndarray, "n D"]:
        """Outputs of the backbone for one batch, in evaluation mode; argument and errors are those of `logits_of`."""
        features: np.ndarray = self._features(squares).cpu().numpy()
        return features

    def logits_and_features_of(
        self, squares: np.ndarray
    ) -> tuple[Float32[np.ndarray, "n bits"], Float32[np.ndarray, "n D"]]:
        """What `logits_of` and `features_of` give, by one run of the backbone."""
        features = self.features_of(squares)
        return self.logits_of(features), features

    def _features(self, batch: np.ndarray) -> Tensor:
        """(n, D) float32 features where the hasher computes; features are their own."""
        self.eval()
        if batch.ndim == 2 and batch.dtype == np.float32:
            return as_tensor(batch).to(self.device)
        side = self.preprocess.size
        if batch.shape[1:] != (side, side, 3) or batch.dtype != np.uint8:
            raise ShapeError(
                f"{self!r} takes squares (n, {side}, {side}, 3) of uint8, as its preprocess.square makes them, got "
                f"{batch.shape} {batch.dtype}"
            )
        assert self.backbone is not None
        return features_of(self.backbone, batch)

    def adapted(
        self,
        images: Any,
        indices: Any = None,
        *,
        batch_size: int = BATCH,
        threads: int | None = None,
        unreadable: dict[int, str] | None = None,
    ) -> "Hasher":
        """A copy whose head takes its last batch norm from images of another kind than those of the training.

        The bits are balanced on them (OrthoHash, supplement); features that the head standardises before stay those of
        the training. Give it the images that will be searched, some hundreds,
        as `encode` takes them; encode queries and database with the same copy, for it is another model. Of several
        processes each computes its share.

        Args:
            images: as for `encode`.
            indices: which of them, (m,) whole numbers; all by default.
            batch_size: how many go through the network at once.
            threads: how many decode; by default one a processor, 8 at most.
            unreadable: gets the message of each image that cannot be decoded, by its place; such images are then left
                out of the statistics. Without it they are an error.

        Raises:
            ImageError: an image cannot be decoded; the message names it.
            BitseekError: the head does not end in batch norm, fewer than two images, images that it does not take, or
                indices of none.
        """
        adapted = copy.deepcopy(self)
        adapted.report = None  # it is of the hasher as it was trained
        given, failed = as_images(images), dict[int, str]()
        wanted = np.arange(len(given)) if indices is None else as_ids(indices, len(given), "indices", "these images")
        read = batches_for(
            adapted, given, of_rank(given, wanted), batch_size=batch_size, threads=threads, unreadable=failed
        )

        def features() -> Iterator[Tensor]:
            yield from (adapted._features(batch) for _, batch in read)
            every = from_all_ranks(failed)
            tell_unreadable(every, None if len(every) == len(wanted) else unreadable)

        estimate_batch_norm(adapted.head, features())
        return adapted.eval()

    def save(self, folder: FilePath, method: nn.Module | None = None) -> None:
        """Write the hasher into a run folder: weights, configuration and card.

        Args:
            folder: which does not exist, is empty, or is a run folder already.
            method: whose state beside the head is kept too.

        Raises:
            RunError: the hasher comes from no run, or the folder holds another one or something else.
        """
        if self.config is None:
            raise RunError("this hasher has no RunConfig, so nothing could load it again; train it with bitseek.train")
        path = user_path(folder)
        make_run_folder(path, self.config, self.fingerprint if method is None else None)
        tensors = {f"hasher.{name}": tensor for name, tensor in self.state_dict().items()}
        if method is not None:
            tensors |= {f"method.{k}": v for k, v in method.state_dict().items() if not k.startswith("head.")}
        if self.train_items is not None:
            tensors["run.train_items"] = torch.from_numpy(self.train_items.view(np.int64))
        if self.learned is not None:
            items, codes = self.learned
            tensors["run.learned_items"] = torch.from_numpy(items.view(np.int64))
            tensors["run.learned_codes"] = torch.from_numpy(codes.words.view(np.int64).copy())
        write_model(path, tensors)
        self.config = self.config.changed(fingerprint=self.fingerprint)
        self.config.write(path)
        write_card(path)

    @classmethod
    def load(cls, folder: FilePath, *, device: str | torch.device = "cpu") -> "Hasher":
        """The hasher that a run trained, ready to encode.

        Args:
            folder: a run folder.
            device: where it shall compute.

        Raises:
            RunError: not a run folder, a run that was stopped before it had weights, or a damaged file.
        """
        path, where = user_path(folder), pick_device(device)
        config = RunConfig.read(path)
        tensors = read_model(path)
        state = {k.removeprefix("hasher."): v for k, v in tensors.items() if k.startswith("hasher.")}
        try:
            backbone = None if config.backbone is None else architecture(config.backbone)
            try:
                head = make_head(method_class(config.method), config.task, config.full_recipe)
            except BitseekError as error:
                raise RuntimeError(error) from error
            hasher = cls(backbone, head, config.bits, config=config)
            hasher.codewords = state.get("codewords")
            hasher.load_state_dict(state)
        except (KeyError, TypeError, RuntimeError) as error:
            raise RunError(f"the run {path} does not fit this version of bitseek: {error}") from error
        if "run.train_items" in tensors:
            hasher.train_items = tensors["run.train_items"].numpy().view(np.uint64)
        if "run.learned_items" in tensors:
            items, words = (tensors[f"run.learned_{part}"].numpy().view(np.uint64) for part in ("items", "codes"))
            hasher.learned = (items, Codes(words, config.bits))
        if config.fingerprint is None:
            raise RunError(f"the training of {path} was stopped before it had weights; go on with --resume")
        if config.fingerprint != hasher.fingerprint:
            raise RunError(
                f"config.json and model.safetensors in {path} are of two trainings: the fingerprints are "
                f"{config.fingerprint} and {hasher.fingerprint}"
            )
        with suppress(RunError):  # a damaged report is none
            hasher.report = read_report(path)
        return hasher.to(where).eval()


def load(run: FilePath, *, device: str | torch.device = "cpu") -> Hasher:
    """The hasher that a run trained; see `Hasher.load`."""
    return Hasher.load(run, device=device)
