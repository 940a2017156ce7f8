"""From the arguments of `train` to a hasher: configuration, then folder, then loop."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from bitseek._checks import whole_number
from bitseek._files import user_path
from bitseek.codes import Codes
from bitseek.data import Pool, Protocol, load_protocol
from bitseek.errors import BitseekError, RunError
from bitseek.images import Features, Pixels
from bitseek.methods import Method, make_method, make_recipe, method_class
from bitseek.models import (
    Backbone,
    BackboneConfig,
    build_backbone,
    join_ranks,
    on_first_rank,
    pick_device,
    rank,
    rebuild_backbone,
    seeded,
)
from bitseek.runs import EncodedFeatures, Hasher, RunConfig, encode_features, load
from bitseek.training._accumulation import check_parts
from bitseek.training._checkpoint import Recorder
from bitseek.training._device import environment, use_bfloat16
from bitseek.training._loop import Loop, Progress
from bitseek.training._validation import Items, hold_out

SMALL = 64
"""Images of at most this side are shown whole to a backbone, and go to `small-cnn` by default."""


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
    accumulate: int = 1,
    threads: int | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    checkpoint_seconds: float = 60.0,
    progress: Progress | None = None,
    features: EncodedFeatures | None = None,
    **recipe: Any,
) -> Hasher:
    """Train a hasher. Nothing is written before all that was given has been found to fit.

    The random states of torch, NumPy and Python are left as they are.

    Args:
        method: name of a method; see `bitseek methods`.
        protocol: name of a protocol, which is loaded with this seed; or one that is loaded.
        bits: length of the codes, K.
        backbone: name of a backbone; by default `small-cnn` for images of at most 64 pixels, else `resnet50`.
        weights: of the backbone: a file, `pretrained` (downloaded), None for random ones; `auto` is `pretrained`
            where there are such weights. For features, see `pick_backbone`.
        backbone_options: see `build_backbone`.
        size: side of the backbone's input in pixels; by default its own, or that of small images.
        out: run folder, which must not exist, or be the same run where `resume` is set; None keeps nothing.
        seed: of the split, the initial weights, the codebook, the order and the augmentation.
        frozen: train only what the method adds to the backbone, on features computed once.
        validation: share of the training items that is held out, to keep the weights that are best on them.
        root: folder of the data; see `load_protocol`.
        protocol_options: options of the protocol.
        device: `cpu`, `cuda`, `cuda:1`, `mps`, or `auto` for the best there is.
        precision: of the backbone in training: `bf16` is autocast, `auto` is that where the hardware has it.
        compiled: run the backbone through `torch.compile`.
        accumulate: parts in which each batch goes through the backbone, where the whole is too much for the memory. The
            loss sees the whole batch, so the training is the same; refused where it would not be, with batch norm.
        threads: how many decode files.
        resume: go on with a run that was stopped or killed; the result is what it would have been.
        tensorboard: also log the curves for TensorBoard.
        checkpoint_seconds: least time between two checkpoints.
        progress: called twice a second with how far training is.
        features: of the training items, if this backbone was run on them before and is `frozen`.
        recipe: hyper-parameters that differ from the method's own, which are those of a head where only that is
            trained; see `make_recipe`.

    Returns:
        the trained hasher, in evaluation mode, with the `RunConfig` of this training.

    Raises:
        BitseekError: something that was given does not fit; nothing is overwritten.
        KeyboardInterrupt: stopped by Ctrl-C, after the run was left usable and ready to resume.
    """
    if method == "auto":
        raise BitseekError("auto is no method, it chooses one: call bitseek.training.auto(protocol)")
    cls = method_class(method)
    make_recipe(cls, recipe)  # what is wrong in it is said before the data are read
    bits = whole_number(bits, "bits")
    accumulate = whole_number(accumulate, "accumulate")
    if threads is not None:
        whole_number(threads, "threads")
    where = join_ranks(pick_device(device))
    bf16 = use_bfloat16(where, precision)
    folder = None if out is None else user_path(out)
    recorder = Recorder(folder if rank() == 0 else None, seconds=checkpoint_seconds, tensorboard=tensorboard)
    data = protocol if isinstance(protocol, Protocol) else load_protocol(
        protocol, root=root, seed=seed, **(protocol_options or {})
    )  # fmt: skip
    train_on, held_out = hold_out(data, validation, seed)
    if cls.by_gradient and len(train_on) < 2:
        raise BitseekError(f"{data.name} has {len(train_on)} items to train on; 2 are the least for a batch")
    if not cls.by_gradient and validation:
        raise BitseekError(f"{method} is fitted in one go, so there are no weights to choose: leave out validation")
    images, network = data.pool.images, pick_backbone(data.pool, backbone, weights, size, backbone_options, seed)
    frozen = frozen or not cls.by_gradient or isinstance(images, Features)
    hyper_parameters = make_recipe(cls, recipe, frozen=frozen)
    check_parts(None if frozen or not hyper_parameters.backbone_lr else network, accumulate)
    config = RunConfig(
        method=method,
        recipe=hyper_parameters.model_dump(mode="json"),
        bits=bits,
        seed=seed,
        frozen=frozen,
        validation=validation,
        bf16=bf16 and not frozen,
        protocol=data.name,
        origin=data.origin,
        checksum=data.checksum,
        k=data.k,
        denominator=data.denominator,
        classes=data.pool.classes,
        multi_label=data.multi_label,
        items=len(train_on),
        backbone=None if network is None else network.config,
        features=network.features if network is not None else images.dimensions,  # type: ignore[union-attr]
        environment=environment(where),
    )
    with seeded(seed, "method"):
        module = make_method(cls, config.task, hyper_parameters)
    hasher = Hasher(network, module.head, bits, config=config, device=where)
    hasher.train_items = data.pool.item_hashes(data.train)
    state = on_first_rank(lambda: recorder.open(config, resume=resume))
    if state is None and out is not None:
        return load(out, device=where)
    with recorder:
        items = _items(data, hasher, train_on, held_out, features, threads)
        if cls.by_gradient:
            loop = Loop(
                module,
                hasher,
                items,
                recorder,
                compiled=compiled,
                accumulate=accumulate,
                threads=threads,
                progress=progress,
            )
            if state:
                loop.load_state(state)
            try:
                loop.run()
            except KeyboardInterrupt:
                if not recorder.empty:
                    hasher.learned = _learned(module, data, train_on, items)
                    _keep(hasher, module, items, recorder.folder, complete=False)
                raise
        else:
            _fit(module, items, seed)
        hasher.learned = _learned(module, data, train_on, items)
        _keep(hasher, module, items, recorder.folder, complete=True)
    return hasher


def pick_backbone(
    pool: Pool,
    name: str | None = None,
    weights: str | Path | None = "auto",
    size: int | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Backbone | None:
    """The backbone for the images of a pool; the arguments are those of `train`.

    For features it is the backbone that made them, if their file says which one that was, with the weights that it had:
    from where they were then, or from the file `weights`. Where they are absent, or with `weights=None`, or where the
    file does not say, there is none, and only a head can be trained.
    """
    given, weights = dict(options or {}), None if weights == "none" else weights
    if isinstance(pool.images, Features):
        return _backbone_of(pool.images, name, weights, {"size": size} | given if size else given)
    side = max(pool.images.array.shape[1:3]) if isinstance(pool.images, Pixels) else SMALL + 1
    name = name or ("small-cnn" if side <= SMALL else "resnet50")
    if side <= SMALL:
        given = {"crop": 1.0} | given
        size = size or (max(side, 28) if name == "small-cnn" else None)
    if weights == "auto":
        weights = None if name == "small-cnn" else "pretrained"
    return build_backbone(name, weights=weights, size=size, seed=seed, **given)


def _backbone_of(
    features: Features, name: str | None, weights: str | Path | None, options: Mapping[str, Any]
) -> Backbone | None:
    """The backbone that made these features, if it is known and its weights are there."""
    if features.backbone is None:
        if name is not None or weights not in (None, "auto"):
            raise BitseekError(
                "this protocol gives features, not images, and its file does not say which backbone made them: leave "
                "out the backbone and its weights, or write the file again with `bitseek features`"
            )
        return None
    config = BackboneConfig(**features.backbone)
    if name not in (None, config.name) or options:
        what = name if name not in (None, config.name) else sorted(options)[0]
        raise BitseekError(
            f"these features were made by {config.name}, which cannot be changed now: leave out {what!r}"
        )
    if config.features != features.dimensions:
        raise BitseekError(
            f"{config.name} gives features of length {config.features}, these have {features.dimensions}: they are not "
            "of the backbone that their file names; write it again with `bitseek features`"
        )
    if weights != "auto":
        return None if weights is None else rebuild_backbone(config, weights)
    if config.weights not in (None, "pretrained") and not Path(config.weights).is_file():
        return None
    try:
        return rebuild_backbone(config)
    except RunError as error:
        if config.weights == "pretrained" and error.__cause__ is not None:  # they cannot be downloaded now
            return None
        raise


def _items(
    data: Protocol,
    hasher: Hasher,
    train_on: np.ndarray,
    held_out: np.ndarray,
    computed: EncodedFeatures | None,
    threads: int | None,
) -> Items:
    """The training items as the loop takes them: a frozen backbone is run on them once, if it was not before."""
    pool, images = data.pool, data.pool.images
    assert hasher.config is not None
    if not hasher.config.frozen or isinstance(images, Features):
        return Items(images, pool.labels, train_on, held_out, pool.mirror)
    assert hasher.backbone is not None
    if computed is None:
        computed = encode_features(hasher.backbone, images, data.train, threads=threads)
    is_held = np.isin(computed.ids, held_out)
    return Items(
        Features((computed.features,)),
        pool.labels[computed.ids],
        np.flatnonzero(~is_held),
        np.flatnonzero(is_held),
        pool.mirror,
        dict(computed.unreadable),
    )


def _fit(method: Method, items: Items, seed: int) -> None:
    """Train a method that has no gradients."""
    assert isinstance(items.images, Features)
    features = torch.from_numpy(items.images.rows(items.train))
    labels = torch.from_numpy(items.labels.multi_hot(items.train)).float()
    with seeded(seed, "fit"):
        method.fit(features, labels)


def _learned(method: Method, data: Protocol, train_on: np.ndarray, items: Items) -> tuple[np.ndarray, Codes] | None:
    """Hashes of the training items and the codes that the method learned for them, if it did."""
    codes = method.item_codes()
    if codes is None:
        return None
    if len(items.train) < len(train_on):  # of a frozen backbone the items that it could not read have no number
        train_on = train_on[~np.isin(train_on, list(items.unreadable))]
    return data.pool.item_hashes(train_on), Codes.from_logits(codes[: len(train_on)].float().cpu().numpy())


def _keep(hasher: Hasher, method: Method, items: Items, folder: Path | None, *, complete: bool) -> None:
    """Give the hasher what it needs besides its weights, and write it into the run folder."""
    assert hasher.config is not None
    codewords = method.codewords()
    hasher.codewords = None if codewords is None else codewords.detach().clone()
    hasher.config = hasher.config.changed(
        complete=complete, fingerprint=hasher.fingerprint, unreadable=tuple(sorted(items.unreadable.values()))
    )
    if folder is not None:
        hasher.save(folder, method)
    hasher.eval()
