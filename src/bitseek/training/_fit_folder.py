"""A hasher for any folder of images, without labels: fitted on a sample, chosen by what it keeps of the neighbours."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from torch import nn

from bitseek._checks import whole_number
from bitseek._files import FilePath
from bitseek.data import Pool, Protocol
from bitseek.errors import BitseekError, DataError, ShapeError
from bitseek.images import Features, Progress, as_images, batches
from bitseek.methods import method_class
from bitseek.metrics import retrieval
from bitseek.models import Backbone, pick_device
from bitseek.runs import Hasher
from bitseek.training._auto import AUTO, Chosen, auto
from bitseek.training._neighbours import neighbours, neighbours_kept
from bitseek.training._remembering import Remembering
from bitseek.training._search import long_enough
from bitseek.training._train import train

MEASURABLE = 20
"""With fewer images than this, nothing can be held out that would say anything."""
MINUTES, TRIALS = 1.0, 60
"""What `auto` may cost: it stands between somebody and the page of the folder."""
FEW = "orthohash"
"""Instead of `auto` where there are too few images or labels to compare heads by."""
UNSUPERVISED = ("itq", "bihalf-unsupervised", "lsh")
"""Methods that need no labels and seconds of time; the last one works for any number of images."""


class Candidate(NamedTuple):
    """A method that was tried on a folder.

    Attributes:
        method: its name.
        kept: share in [0, 1] of the nearest neighbours that its codes keep, see `fit_folder`; None if not measured.
        mAP: of the held-out images by their labels, in expectation over ties; None without labels.
        reason: why it could not be fitted; None if it was.
    """

    method: str
    kept: float | None = None
    mAP: float | None = None  # noqa: N815
    reason: str | None = None


class FittedFolder(NamedTuple):
    """What `fit_folder` gives.

    Attributes:
        hasher: the chosen one, which remembers the features that were computed.
        method: how it was fitted.
        candidates: all that were tried, and what was measured of them.
        unreadable: messages of the images of the sample that could not be decoded.
    """

    hasher: Remembering
    method: str
    candidates: tuple[Candidate, ...]
    unreadable: tuple[str, ...]


def fit_folder(
    backbone: Backbone,
    images: Sequence[FilePath],
    *,
    bits: int = 64,
    seed: int = 0,
    sample: int = 1000,
    labels: Sequence[str | None] | None = None,
    method: str | None = None,
    name: str = "a folder",
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> FittedFolder:
    """Fit a head to the features of a sample of images, and choose it by what its codes keep.

    One fifth of the sample is held out; everything is fitted on the rest. What a method keeps is `neighbours_kept` of
    the held-out images among the rest. The method of `UNSUPERVISED` that keeps most is taken; the first of them, where
    they keep the same. With fewer than 20 images nothing is measured, and the last of them (`lsh`) is taken.

    The same images, backbone and seed give the same hasher, on the same kind of machine; but not with `auto`, whose
    search ends by the clock.

    Args:
        backbone: images → features; it stays as it is.
        images: paths of the images of the folder.
        bits: length of the codes, K.
        seed: of the sample, of what is held out, and of each method.
        sample: most images that are used.
        labels: the label of each image, None for none; needed by a supervised method.
        method: a method to take whatever the others keep; they are measured beside it all the same. `auto` is the one
            that is best for these labels, with its recipe, see `bitseek.training.auto`; where there are too few images
            or labels to compare by, it is `orthohash`.
        name: of the folder, for the record.
        device: where it is computed.
        threads: how many decode.
        progress: called after each batch of images.

    Raises:
        DataError: none of the images can be read, or there are none.
        BitseekError: the method does not fit the labels, or another value is out of range.
    """
    whole_number(sample, "sample")
    bits = whole_number(bits, "bits")
    if method not in (None, AUTO):
        method_class(method)  # a name that is none is refused before any image is read
    if not len(images):
        raise DataError(f"there are no images in {name}")
    if labels is not None and len(labels) != len(images):
        raise ShapeError(f"{len(images)} images need {len(images)} labels, got {len(labels)}")
    rng = np.random.default_rng((seed, 0xF01D))
    chosen = np.sort(rng.permutation(len(images))[:sample])
    network = Hasher(backbone, nn.Identity(), backbone.features, device=pick_device(device))
    unreadable: dict[int, str] = {}
    memory = Remembering(network)
    passes = batches(
        as_images(list(images)), backbone.preprocess, chosen, threads=threads, progress=progress, unreadable=unreadable
    )
    parts = [(ids, memory.features_of(squares)) for ids, squares in passes]
    if not parts:
        raise DataError(f"none of {len(chosen)} images of {name} can be read; {next(iter(unreadable.values()))}")
    ids, features = (np.concatenate(column) for column in zip(*parts, strict=True))
    data = _split(features, None if labels is None else [labels[i] for i in ids.tolist()], name, rng)
    tried = {each: _fitted(each, data, bits, seed, device) for each in UNSUPERVISED}
    if method == AUTO:
        best_head = _of_auto(data, bits, seed, device)
        method = FEW if best_head is None else best_head.method
        if best_head is not None:
            tried[method] = best_head.hasher
    if method is not None and method not in tried:
        tried[method] = _fitted(method, data, bits, seed, device)
    if method is not None and isinstance(error := tried[method], BitseekError):
        raise error
    hashers = {each: head for each, head in tried.items() if isinstance(head, Hasher)}
    candidates = tuple(_measured(each, head, data) for each, head in tried.items())
    best = (
        method
        or max(
            (each for each in candidates if each.method in hashers and each.kept is not None),
            key=lambda each: each.kept or 0.0,
            default=Candidate(UNSUPERVISED[-1]),
        ).method
    )
    hasher = _with_backbone(hashers[best], backbone, network)
    return FittedFolder(memory.of(hasher), best, candidates, tuple(unreadable.values()))


def _split(
    features: Float32[np.ndarray, "n D"], labels: Sequence[str | None] | None, name: str, rng: np.random.Generator
) -> Protocol:
    """The sample with a fifth of it held out as queries, and the rest to train on and to search in."""
    if len(features) == 1:  # then the image is held out, and its copy is not
        features, labels = np.repeat(features, 2, axis=0), labels and [labels[0], labels[0]]
    given = labels or [None] * len(features)
    classes = tuple(sorted({label for label in given if label is not None}))
    numbers = [-1 if label is None else classes.index(label) for label in given]
    pool = Pool(Features((features,)), np.array(numbers, np.int64), classes, name=name)
    held, rest = np.split(rng.permutation(len(features)), [max(1, len(features) // 5)])
    return Protocol(name, pool, np.sort(rest), np.sort(held), np.sort(rest))


def _of_auto(data: Protocol, bits: int, seed: int, device: str) -> Chosen | None:
    """What `auto` chooses; None where heads cannot be compared."""
    try:
        return auto(data, bits=bits, seed=seed, device=device, minutes=MINUTES, trials=TRIALS)
    except BitseekError:  # what else is wrong is said again by the method that is taken then
        return None


def _fitted(method: str, data: Protocol, bits: int, seed: int, device: str) -> Hasher | BitseekError:
    """A head on the features, or why there is none."""
    try:
        return train(method, data, bits=bits, seed=seed, device=device, **long_enough(method, len(data.train)))
    except BitseekError as error:
        return error


def _measured(method: str, head: Hasher | BitseekError, data: Protocol) -> Candidate:
    if isinstance(head, BitseekError):
        return Candidate(method, reason=str(head))
    if len(data.pool) < MEASURABLE:
        return Candidate(method)
    features: Any = data.pool.images.rows(slice(None))
    codes = head.encode(features)
    held, rest = codes[data.query], codes[data.database]
    kept = neighbours_kept(held, rest, neighbours(features[data.query], features[data.database]))
    by_label = None
    if data.pool.labels[data.query].any.any():
        by_label = retrieval(held, rest, data.relevance(data.query, data.database)).mAP
    return Candidate(method, kept, by_label)


def _with_backbone(head: Hasher, backbone: Backbone, network: Hasher) -> Hasher:
    """The whole hasher: from images, not from features."""
    assert head.config is not None
    whole = Hasher(backbone, head.head, head.bits, config=head.config, device=network.device)
    whole.codewords = head.codewords
    whole.config = head.config.changed(backbone=backbone.config, fingerprint=whole.fingerprint)
    return whole.eval()
