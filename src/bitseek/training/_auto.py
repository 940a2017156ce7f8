"""`auto`: method and recipe are chosen by a search over heads on stored features, then the hasher is trained."""

from collections.abc import Callable, Mapping
from multiprocessing import current_process
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from bitseek._checks import whole_number
from bitseek._files import user_path
from bitseek.data import Protocol, load_protocol
from bitseek.errors import BitseekError
from bitseek.images import Features
from bitseek.images import Progress as Count
from bitseek.kernels.threads import thread_count
from bitseek.methods import HEAD_RECIPE, METHODS, Recipe, make_recipe, method_class
from bitseek.models import Backbone, derived_seed, join_ranks, pick_device, ranks
from bitseek.runs import EncodedFeatures, Hasher, encode_features
from bitseek.training._attempts import attempts
from bitseek.training._bench import Bench
from bitseek.training._journal import MEASURE, Journal, Trial
from bitseek.training._loop import Progress
from bitseek.training._search import Budget, Search, without_front
from bitseek.training._train import pick_backbone, train

AUTO = "auto"
MINUTES = 10.0
"""The budget of a search that was given none."""
SAMPLE = 6000
"""Most training items that a search looks at; the hasher itself is trained on all."""
BACKBONE_RATE = {True: 1e-4, False: 1e-3}
"""Learning rate of a backbone, by whether it has trained weights, whatever the rate of the head that won."""
COMMON = {*HEAD_RECIPE, "backbone_lr"}
"""Hyper-parameters of the training of a whole network that may be given, whatever wins."""
BATCH = 128
"""Most images of a step where the whole network is trained."""
FIRST = (
    *("shc", "dhd", "jmlh", "relahash", "csq", "dshsd", "ssdh", "orthohash", "cnnh", "greedyhash", "dpn", "bihalf"),
    *("hashnet", "asymmetric-dsh", "dpsh", "mds", "dnnh-resnet", "isdh", "dsh", "mihash", "angular-dsh", "hyp2"),
    *("dtsh", "dch", "sdhc", "dhn", "idhn"),
    *("neighbour-contrast", "bihalf-unsupervised", "itq", "cibhash", "greedyhash-unsupervised"),
)
"""What a search tries first, since a small budget may not last for all methods: the best on held-out training items of
the data sets of the frozen ledger (docs/ledger.md), 64 bits, each with its best recipe, with a hidden layer or without,
by the mean; without labels those of the ledger. But for DNNH, which takes its time."""


class Chosen(NamedTuple):
    """What `auto` gives.

    Attributes:
        hasher: the trained one.
        method: the method that won.
        recipe: what differs from the recipe that its heads have by default.
        trials: all that was tried.
    """

    hasher: Hasher
    method: str
    recipe: dict[str, Any]
    trials: tuple[Trial, ...]


def auto(
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
    minutes: float | None = None,
    trials: int | None = None,
    jobs: int = 1,
    root: str | Path | None = None,
    protocol_options: Mapping[str, Any] | None = None,
    device: str = "auto",
    threads: int | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    tried: Callable[[Trial], None] | None = None,
    encoding: Count | None = None,
    recipe: Mapping[str, Any] | None = None,
    **options: Any,
) -> Chosen:
    """Choose a method, its codebook and its recipe, and train a hasher with them.

    The backbone is run once on a sample of the training items. Heads are trained on four fifths of these features and
    measured on the last fifth, within a budget, by successive halving (see `Search`). Where training items have labels
    the measure is the protocol's mAP@k; otherwise it is the share of the nearest eighth and quarter in feature space,
    by walks from neighbour to neighbour, that the codes keep (see `Bench`). The winner is trained on all training
    items, by the recipe that won: with labels and images the whole network (see `of_network`); on features, with
    `frozen`, or without labels its head alone. Queries are never looked at, nor is any item of the database that is no
    training item.

    With `trials` as the only budget the same seed gives the same hasher, stopped or not. With `minutes` it depends on
    how long trials take here; a search that goes on keeps the times of the trials that it has. Heads that are trained
    one at a time have all threads of torch, others one, by which scores may differ in the last digits; and with
    another number of jobs a search by minutes that goes on may end otherwise.

    Args:
        protocol: name of a protocol, which is loaded with this seed; or one that is loaded.
        bits: length of the codes, K.
        backbone: name of a backbone; by default as in `train`.
        weights: of the backbone; see `train`.
        backbone_options: see `build_backbone`.
        size: side of the backbone's input in pixels.
        out: run folder; what is tried is written to its `auto.json`. None keeps nothing.
        seed: of the split, the sample, the folds and each training.
        frozen: train no more than a head.
        minutes: that the search may take, without the last training; 10 if no budget is given.
        trials: how many heads the search may train.
        jobs: how many heads it trains at a time, each by a process on one processor, which takes some seconds to start
            and half a gigabyte or more; at most one for each processor.
        root: folder of the data; see `load_protocol`.
        protocol_options: options of the protocol.
        device: as in `train`.
        threads: how many decode files.
        resume: go on with a search or a training that was stopped or killed.
        progress: called by the last training, twice a second.
        tried: called after each trial.
        encoding: called while features are computed.
        recipe: hyper-parameters of the training of a whole network: those that all methods have.
        options: of the training of a whole network: `validation`; and of the last training, whatever it trains:
            `precision`, `compiled`, `accumulate`, `tensorboard`, `checkpoint_seconds`. See `train`.

    Returns:
        the trained hasher, what won, and what was tried.

    Raises:
        BitseekError: something that was given does not fit; nothing is overwritten.
        KeyboardInterrupt: stopped by Ctrl-C; what was tried is in the run folder.
    """
    bits = whole_number(bits, "bits")
    budget = Budget(MINUTES if minutes is None and trials is None else minutes, trials)
    jobs = min(whole_number(jobs, "jobs"), thread_count())
    if jobs > 1 and current_process().daemon:
        raise BitseekError(f"a process of multiprocessing may begin no others: take jobs=1 here, not {jobs}")
    if join_ranks(pick_device(device)) and ranks() > 1:
        raise BitseekError(f"{AUTO} chooses in one process: run it without torchrun, then train what it chose with it")
    data = protocol if isinstance(protocol, Protocol) else load_protocol(
        protocol, root=root, seed=seed, **(protocol_options or {})
    )  # fmt: skip
    network = pick_backbone(data.pool, backbone, weights, size, backbone_options, seed)
    labelled = len(data.pool.classes) > 1 and bool(data.pool.labels[data.train].any.any())
    frozen = frozen or not labelled or isinstance(data.pool.images, Features)
    if frozen and (given := [*(recipe or {}), *(["validation"] if options.get("validation") else [])]):
        raise BitseekError(
            f"{AUTO} chooses the recipe of a head itself, on held-out items: leave out {', '.join(given)}, or name a "
            "method"
        )
    if wrong := set(recipe or {}) - COMMON:
        raise BitseekError(
            f"{AUTO} chooses {', '.join(sorted(wrong))} with the method; what can be given is "
            f"{', '.join(sorted(COMMON))}"
        )
    Recipe(**(recipe or {}))  # what is wrong in it is said before anything is tried
    sample = _sample(data, seed)
    journal = Journal(
        None if out is None else user_path(out),
        {
            "protocol": data.name,
            "checksum": data.checksum,
            "bits": bits,
            "seed": seed,
            "frozen": frozen,
            "minutes": budget.minutes,
            "trials": budget.trials,
            "backbone": None if network is None else network.config.model_dump(mode="json", exclude={"weights"}),
            MEASURE: "validation mAP" if labelled else "nearest eighth and quarter by walks kept",
            "items": len(sample),
        },
        resume=resume,
    )
    computed = None
    if journal.chosen is None:
        with journal:
            computed = _features(data, sample, network, device, threads, encoding)
            bench = Bench(data, computed, bits, seed, device, labelled)
            with attempts(bench.measure, jobs) as found:
                search = Search(found, journal, budget, tried, items=len(bench.fold(0).train), jobs=jobs)
                journal.close(*search.run(fitting(data, labelled)))
    assert journal.chosen is not None
    method, won = journal.chosen["method"], journal.chosen["recipe"]
    hasher = train(
        method,
        data,
        bits=bits,
        backbone=backbone,
        weights=weights,
        backbone_options=backbone_options,
        size=size,
        out=out,
        seed=seed,
        frozen=frozen,
        device=device,
        threads=threads,
        resume=True,
        progress=progress,
        features=computed if frozen and len(sample) == len(data.train) else None,
        **options,
        **(won if frozen or network is None else of_network(method, won, recipe or {}, network)),
    )
    return Chosen(hasher, method, won, tuple(journal.trials))


def of_network(method: str, won: Mapping[str, Any], given: Mapping[str, Any], network: Backbone) -> dict[str, Any]:
    """The recipe by which a whole network is trained with a method whose head won.

    It is that of the head, which is known to fit the method and the data, less the `FRONT` that it may have: with three
    methods that were measured so, it costs where the backbone learns (docs/auto.md). Images are mirrored, batches fit
    into memory, and the rate of the backbone is its own: so high as the rate of some heads is, it would undo the
    weights that it has.

    Args:
        method: its name.
        won: what differs from the recipe that its heads have by default.
        given: what the user wants otherwise.
        network: the backbone.
    """
    recipe = make_recipe(method_class(method), {**without_front(won), **given}, frozen=True)
    rate = BACKBONE_RATE[network.config.weights is not None]
    ours = {"batch_size": min(BATCH, recipe.batch_size), "augment": "flip", "backbone_lr": rate / recipe.lr}
    return {**recipe.model_dump(), **{name: value for name, value in ours.items() if name not in given}}


def fitting(data: Protocol, labelled: bool) -> list[str]:
    """The methods that take the labels of a protocol, or that need none where it has none.

    Those of `FIRST` come first; of the rest, the quick ones.
    """
    kinds = ("multi",) if data.multi_label else ("single", "multi")
    fit = [name for name, cls in METHODS.items() if cls.card.labels in (kinds if labelled else ("none",))]
    first = [name for name in FIRST if name in fit]
    return first + sorted(set(fit) - set(first), key=lambda name: (METHODS[name].by_gradient, name))


def _sample(data: Protocol, seed: int) -> Int64[np.ndarray, " m"]:
    """Training items that a search looks at: all, or some at random; in the order of the protocol."""
    order = np.random.default_rng(derived_seed(seed, "sample", 0)).permutation(len(data.train))
    return np.asarray(data.train[np.sort(order[:SAMPLE])])


def _features(
    data: Protocol,
    sample: Int64[np.ndarray, " m"],
    network: Backbone | None,
    device: str,
    threads: int | None,
    encoding: Count | None,
) -> EncodedFeatures:
    """Features of the sample, computed or as they are."""
    images = data.pool.images
    if isinstance(images, Features):
        return EncodedFeatures(sample, images.rows(sample), {})
    assert network is not None
    return encode_features(network.to(pick_device(device)), images, sample, threads=threads, progress=encoding)
