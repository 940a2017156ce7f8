"""Commands that train: train, features."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bitseek.cli import _arguments as arguments
from bitseek.cli._console import choosing, counting, note, show, training
from bitseek.cli._evaluate import keep, show_report
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.data import Protocol
    from bitseek.runs import Hasher
    from bitseek.training import Chosen, Trial


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Training:
    """How a hasher is trained, in the words of `bitseek.train`.

    Attributes:
        bits: length of the codes.
        backbone: network; see `bitseek backbones`. Small images go to small-cnn by default, others to resnet50.
        frozen: train only the head, on features that are computed once.
        seed: of everything that is drawn.
        epochs: passes over the training set.
        batch_size: items in a step.
        lr: learning rate of the head.
        augment: none, flip, crop, resized-crop, jitter or views.
        recipe: further hyper-parameters, NAME=VALUE; `bitseek methods NAME` lists them.
        validation: share of the training items held out to choose the best weights.
        precision: bf16, fp32, or auto for bf16 where the hardware has it.
        compiled: run the backbone through torch.compile.
        accumulate: parts in which each batch goes through the backbone, to save memory; the training stays the same.
        resume: go on with a run that was stopped or killed.
        tensorboard: also log the curves for TensorBoard.
    """

    bits: int = 64
    backbone: str | None = None
    frozen: arguments.Flag = False
    seed: int = 0
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    augment: str | None = None
    recipe: arguments.Recipe = ()
    validation: float = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compiled: Annotated[arguments.Flag, Parameter(name="--compile")] = False
    accumulate: int = 1
    resume: arguments.Flag = False
    tensorboard: arguments.Flag = False


TRAINING = Training()
AUTO = "auto"
CLASSES_SHOWN = 10
OF_THE_RECIPE = ("epochs", "batch_size", "lr", "augment")


def train(
    method: str,
    protocol: str | None = None,
    /,
    *,
    out: Path | None = None,
    minutes: float | None = None,
    trials: int | None = None,
    jobs: int = 1,
    how: Training = TRAINING,
    network: arguments.Network = arguments.NETWORK,
    source: arguments.Data = arguments.DATA,
    compute: arguments.Compute = arguments.COMPUTE,
    evaluate: bool = True,
    json: arguments.Json = False,
) -> None:
    """Train a hasher on a protocol, with a method or with the one that a search finds best, and measure it.

    Without a method, or with `auto`, heads of all methods are tried on stored features of training items, for
    --minutes or --trials, and compared on training items that were held out; then the best one is trained, with the
    whole network unless --frozen. Queries are not looked at. Without labels what counts is how many of the nearest
    neighbours the codes keep.

    Example: `bitseek train cifar10-1 --backbone mobilenetv2_100`, or
    `bitseek train orthohash cifar10-1 --bits 64 --backbone mobilenetv2_100 --epochs 15`

    Args:
        method: name of the method, see `bitseek methods`; auto, or nothing, for a search.
        protocol: name of the protocol; see `bitseek protocols`. Or folder:PATH, lists:PATH, features:FILE.npz.
        out: run folder; runs/PROTOCOL-METHOD-BITS-sSEED by default.
        minutes: that a search may take before the last training; 10 by default.
        trials: how many heads a search may train, instead of a time or beside it.
        jobs: how many heads a search trains at a time, each by a process.
        evaluate: measure on the protocol's queries when the training is done.
    """
    from bitseek.data import load_protocol
    from bitseek.methods import METHODS

    if protocol is None:
        if method in (AUTO, *METHODS):
            raise BitseekError(f"{method} is a method; say on what it is trained: bitseek train {method} PROTOCOL")
        method, protocol = AUTO, method
    if method != AUTO and (minutes, trials, jobs) != (None, None, 1):
        raise BitseekError(
            f"--minutes, --trials and --jobs are for a search, and {method} is named: leave them out, or it"
        )
    kind, _, path = protocol.partition(":")
    folder = out or Path("runs") / f"{kind}{path and '-'}{Path(path).stem}-{method}-{how.bits}-s{how.seed}"
    data = load_protocol(protocol, root=source.root, seed=how.seed, **arguments.literals(source.protocol_set))
    note(_in_words(data))
    budget = {"minutes": minutes, "trials": trials, "jobs": jobs}
    options = arguments.given(how, network, compute) | {"backbone_options": arguments.literals(network.backbone_set)}
    recipe = {name: options.pop(name) for name in OF_THE_RECIPE if name in options} | arguments.settings(how.recipe)
    facts = {"run": str(folder)}
    try:
        if method == AUTO:
            found = _chosen(data, folder, {**options, **budget, "recipe": recipe})
            hasher, facts["method"] = found.hasher, found.method
        else:
            hasher = _trained(method, data, folder, {**options, **recipe})
    except KeyboardInterrupt:
        note(f"the run so far is in {folder}; go on with it by the same command and --resume")
        raise
    if not evaluate:
        show(facts, str(folder), json)
        return
    from bitseek.evaluation import evaluate as evaluate_hasher

    with counting("encoding") as encoding:
        report = evaluate_hasher(hasher, data, threads=compute.threads, progress=encoding)
    show_report(report, json, **facts)
    keep(report, folder)


def _in_words(data: "Protocol") -> str:
    """What was found: how large each part of the split is, and how many items the first classes have."""
    from bitseek.images import printable

    sizes = f"{len(data.train)} to train on, {len(data.query)} queries, {len(data.database)} in the database"
    names, counts = data.pool.classes, data.pool.labels.counts.tolist()
    shown = [f"{name} {count}" for name, count in zip(names, counts, strict=False)][:CLASSES_SHOWN]
    more = ["…"] if len(names) > len(shown) else []
    classes = f"{len(names)} classes: {', '.join(shown + more)}" if names else "no classes"
    return printable(f"{data.name}: {sizes}; {classes}")


def _trained(method: str, data: "Protocol", folder: Path, options: dict[str, Any]) -> "Hasher":
    """The hasher of a method, with its progress on the screen."""
    from bitseek.training import train as train_hasher

    with training() as progress:
        return train_hasher(method, data, out=folder, progress=progress, **options)


def _chosen(data: "Protocol", folder: Path, options: dict[str, Any]) -> "Chosen":
    """What a search gives, with what it tries on the screen."""
    from bitseek.training import auto

    def say(trial: "Trial") -> None:
        found = trial.reason if trial.score is None else f"{trial.score:.4f}"
        changed = "".join(f", {name} {value}" for name, value in trial.recipe.items())
        note(f"{trial.stage}: {trial.method}{changed}, fold {trial.fold + 1}: {found} ({trial.seconds:.1f} s)")

    with choosing() as (encoding, progress):
        found = auto(data, out=folder, progress=progress, encoding=encoding, tried=say, **options)
    changed = "".join(f", {name} {value}" for name, value in found.recipe.items())
    note(f"{found.method}{changed} is chosen, of {len(found.trials)} trials")
    return found


def features(
    protocol: str,
    /,
    *,
    backbone: str,
    out: Path,
    seed: int = 0,
    network: arguments.Network = arguments.NETWORK,
    source: arguments.Data = arguments.DATA,
    compute: arguments.Compute = arguments.COMPUTE,
    json: arguments.Json = False,
) -> None:
    """Compute a backbone's features of a protocol once, so that many heads train on them in seconds.

    The file says which backbone made them, so a run that is trained on it encodes, indexes and searches images.

    Example: `bitseek features cifar10-1 --backbone resnet50 --out cifar.npz`, then
    `bitseek train orthohash features:cifar.npz`

    Args:
        protocol: name of the protocol; see `bitseek protocols`.
        backbone: network; see `bitseek backbones`.
        out: the .npz file to write.
        seed: of the split.
    """
    from bitseek._files import free_target, names_in_npz
    from bitseek.data import load_protocol, save_features
    from bitseek.models import pick_device
    from bitseek.runs import encode_features
    from bitseek.training import pick_backbone

    free_target(out, "a file of features", lambda file: names_in_npz(file) >= {"features", "labels"})
    data = load_protocol(protocol, root=source.root, seed=seed, **arguments.literals(source.protocol_set))
    model = pick_backbone(
        data.pool, backbone, network.weights, network.size, arguments.literals(network.backbone_set), seed
    )
    if model is None:
        raise BitseekError(f"{protocol} gives features already, not images")
    with counting("encoding") as progress:
        encoded = encode_features(
            model.to(pick_device(compute.device)), data.pool.images, threads=compute.threads, progress=progress
        )
    if encoded.unreadable:
        first = next(iter(encoded.unreadable.values()))
        raise BitseekError(f"{len(encoded.unreadable)} images cannot be read, so there are no features; {first}")
    save_features(out, data, encoded.features, model.config.model_dump(mode="json"))
    count, length = encoded.features.shape
    text = f"{out}: {count} × {length} features; next: bitseek train METHOD features:{out}"
    show({"features": str(out), "items": count, "length": length}, text, json)
