"""Commands that train and measure: train, evaluate, features."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from bitseek.cli.console import counting_bar, literal, note, say, settings, show_json, show_table, training_bar
from bitseek.errors import BitseekError

Settings = Annotated[tuple[str, ...], Parameter(negative_iterable="", consume_multiple=True)]


def train(
    method: str,
    protocol: str,
    /,
    *,
    bits: int = 64,
    backbone: str | None = None,
    weights: str = "auto",
    size: int | None = None,
    frozen: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
    seed: int = 0,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    augment: str | None = None,
    set: Annotated[Settings, Parameter(name="--set")] = (),
    backbone_set: Settings = (),
    protocol_set: Settings = (),
    validation: float = 0.0,
    root: Path | None = None,
    device: str = "auto",
    precision: Literal["auto", "bf16", "fp32"] = "auto",
    compile: Annotated[bool, Parameter(negative="")] = False,
    threads: int | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    tensorboard: Annotated[bool, Parameter(negative="")] = False,
    evaluate: bool = True,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a hasher with a method on a protocol, and measure it.

    Example: `bitseek train orthohash cifar10-1 --bits 64 --backbone mobilenetv2_100 --epochs 15`

    Args:
        method: name of the method; see `bitseek methods`.
        protocol: name of the protocol; see `bitseek protocols`. Or folder:PATH, lists:PATH, features:FILE.npz.
        bits: length of the codes.
        backbone: network; see `bitseek backbones`. Small images go to small-cnn by default, others to resnet50.
        weights: of the backbone: a FILE (safetensors or state dict), pretrained (downloads), or none.
        size: side of the backbone's input in pixels.
        frozen: train only the head, on features that are computed once.
        out: run folder; runs/PROTOCOL-METHOD-BITS-sSEED by default.
        seed: of everything that is drawn.
        epochs: passes over the training set.
        batch_size: items in a step.
        lr: learning rate of the head.
        augment: none, flip, crop, resized-crop, jitter or views.
        set: other hyper-parameters of the method, NAME=VALUE; `bitseek methods NAME` lists them.
        backbone_set: pixels (crop, interpolation, mean, std) and further options of the backbone, NAME=VALUE.
        protocol_set: options of the protocol, NAME=VALUE.
        validation: share of the training items held out to choose the best weights.
        root: folder of the data; the variable BITSEEK_DATA or a folder of your own by default.
        device: cpu, cuda, cuda:1, mps or auto.
        precision: bf16, fp32, or auto for bf16 where the hardware has it.
        compile: run the backbone through torch.compile.
        threads: how many threads decode files.
        resume: go on with a run that was stopped or killed.
        tensorboard: also log the curves for TensorBoard.
        evaluate: measure on the protocol's queries when the training is done.
        json: print the result as JSON.
    """
    from bitseek.data import protocol as load_protocol
    from bitseek.evaluation import evaluate as measure
    from bitseek.training import train as run_training

    given = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "augment": augment}
    recipe: dict[str, Any] = settings(set) | {name: value for name, value in given.items() if value is not None}
    options = {name: literal(value) for name, value in settings(protocol_set).items()}
    folder = out or Path("runs") / f"{_plain(protocol)}-{method}-{bits}-s{seed}"
    data = load_protocol(protocol, root=root, seed=seed, **options)
    try:
        with training_bar() as bar:
            hasher = run_training(
                method,
                data,
                bits=bits,
                backbone=backbone,
                weights=weights,
                backbone_options={name: literal(value) for name, value in settings(backbone_set).items()},
                size=size,
                out=folder,
                seed=seed,
                frozen=frozen,
                validation=validation,
                protocol_options=options,
                device=device,
                precision=precision,
                compiled=compile,
                threads=threads,
                resume=resume,
                tensorboard=tensorboard,
                progress=bar,
                **recipe,
            )
    except KeyboardInterrupt:
        note(f"the run so far is in {folder}; go on with it by the same command and --resume")
        raise
    if not evaluate:
        say(str(folder))
        return
    with counting_bar("encoding") as bar:
        report = measure(hasher, data, threads=threads, progress=bar)
    keep_report(folder, report)
    _show(report, json, run=str(folder))


def evaluate(
    run: Path,
    /,
    *,
    protocol: str | None = None,
    at: str = "protocol",
    denominator: Literal["retrieved", "relevant", "min"] | None = None,
    ties: Literal["expected", "best", "worst", "stable"] = "expected",
    no_hit: Literal["zero", "skip"] = "zero",
    radius: int = 2,
    ranking: Literal["hamming", "asymmetric", "reranked", "ternary"] = "hamming",
    candidates: int = 1000,
    ternary: float = 0.0,
    adapt_batch_norm: Annotated[bool, Parameter(negative="")] = False,
    seed: int | None = None,
    protocol_set: Settings = (),
    root: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure a run: mAP@R in expectation over ties, with its bounds, and a look at the codes.

    Example: `bitseek evaluate runs/cifar10-1-orthohash-64-s0 --at 1000`

    Args:
        run: run folder.
        protocol: another protocol than that of the training.
        at: R, a number of ranks; all; or protocol, for what the protocol says.
        denominator: of AP: retrieved (hits in the top R), relevant, or min (of relevant and R).
        ties: how items at equal distance are ordered: expected (over all orders), best, worst, stable.
        no_hit: whether a query without a hit counts as zero, or is left out (skip).
        radius: of the Hamming ball for precision and recall.
        ranking: hamming, asymmetric (the query's logits against codes), reranked (the nearest, by that), or ternary.
        candidates: how many are ranked anew with reranked.
        ternary: bits abstain where the logit is nearer to 0 than this.
        adapt_batch_norm: estimate the batch norm anew on the database, for another kind of images than the training's.
        seed: of the split; that of the training by default.
        protocol_set: options of the protocol, NAME=VALUE.
        root: folder of the data.
        device: cpu, cuda, cuda:1, mps or auto.
        threads: how many threads decode files.
        json: print the report as JSON.
    """
    from bitseek.data import protocol as load_protocol
    from bitseek.evaluation import evaluate as measure
    from bitseek.instances import evaluate_instances
    from bitseek.run import load, read_config
    from bitseek.training import pick_device

    config = read_config(run)
    options: dict[str, Any] = {} if protocol else dict(config["protocol_options"])
    options |= {name: literal(value) for name, value in settings(protocol_set).items()}
    hasher = load(run, device=pick_device(device))
    data = load_protocol(
        protocol or config["protocol"], root=root, seed=config["seed"] if seed is None else seed, **options
    )
    if protocol is None and data.checksum != config["checksum"]:
        note("the data are not those that the run was trained on: the checksum of the split differs")
    if data.ground_truth is not None:
        with counting_bar("encoding") as bar:
            found = evaluate_instances(
                hasher, data, adapt_batch_norm=adapt_batch_norm, threads=threads, progress=bar
            ).to_json()
        if json:
            show_json({"run": str(run), **found})
        else:
            show_table([{"level": level, **values} for level, values in found["levels"].items()])
        return
    with counting_bar("encoding") as bar:
        report = measure(
            hasher,
            data,
            at=_ranks(at),
            denominator=denominator,
            ties=ties,
            no_hit=no_hit,
            radius=radius,
            ranking=ranking,
            candidates=candidates,
            ternary=ternary,
            adapt_batch_norm=adapt_batch_norm,
            threads=threads,
            progress=bar,
        )
    keep_report(run, report)
    _show(report, json, run=str(run))


def features(
    protocol: str,
    /,
    *,
    backbone: str,
    out: Path,
    weights: str = "auto",
    size: int | None = None,
    backbone_set: Settings = (),
    protocol_set: Settings = (),
    seed: int = 0,
    root: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> None:
    """Compute a backbone's features of a protocol once, so that many heads train on them in seconds.

    Example: `bitseek features cifar10-1 --backbone resnet50 --out cifar.npz`, then
    `bitseek train orthohash features:cifar.npz`

    Args:
        protocol: name of the protocol.
        backbone: network; see `bitseek backbones`.
        out: the .npz file to write.
        weights: of the backbone: a FILE, pretrained, or none.
        size: side of the backbone's input in pixels.
        backbone_set: pixels (crop, interpolation, mean, std) and further options of the backbone, NAME=VALUE.
        protocol_set: options of the protocol, NAME=VALUE.
        seed: of the split.
        root: folder of the data.
        device: cpu, cuda, cuda:1, mps or auto.
        threads: how many threads decode files.
    """
    from bitseek.data import protocol as load_protocol
    from bitseek.data import save_features
    from bitseek.encode import encode_features
    from bitseek.training import pick_backbone, pick_device

    options = {name: literal(value) for name, value in settings(protocol_set).items()}
    data = load_protocol(protocol, root=root, seed=seed, **options)
    given = {name: literal(value) for name, value in settings(backbone_set).items()}
    network = pick_backbone(data.pool, backbone, weights, size, given).to(pick_device(device))
    with counting_bar("encoding") as bar:
        encoded = encode_features(network, data.pool.images, threads=threads, progress=bar)
    if encoded.unreadable:
        first = next(iter(encoded.unreadable.values()))
        raise BitseekError(f"{len(encoded.unreadable)} images cannot be read, so there are no features; {first}")
    save_features(out, data, encoded.logits)
    say(f"{out}: {len(encoded.ids)} × {network.features} features; next: bitseek train METHOD features:{out}")


def _plain(protocol: str) -> str:
    kind, _, path = protocol.partition(":")
    return f"{kind}-{Path(path).stem}" if path else kind


def _ranks(text: str) -> Any:
    if text in ("protocol", "all"):
        return None if text == "all" else "protocol"
    if not text.isdigit() or int(text) < 1:
        raise BitseekError(f"--at is a number of ranks, all, or protocol; got {text!r}")
    return int(text)


def keep_report(run: Path, report: Any) -> None:
    """Write a report into its run, and the card anew."""
    from bitseek.atomic import atomic
    from bitseek.card import model_card
    from bitseek.run import REPORT, write_json

    write_json(run / REPORT, report.to_json())
    with atomic(run / "README.md") as part:
        part.write_text(model_card(run))


def _show(report: Any, json: bool, **where: str) -> None:
    value = report.to_json()
    if json:
        show_json({**where, **value})
        return
    inside, ball = value["diagnostics"], value["within_radius"]
    interval = value["interval"]
    rows = [
        ("mAP" + ("" if value["at"] is None else f"@{value['at']}"), f"{value['mAP']:.4f}"),
        ("bounds over ties", f"{value['mAP_worst']:.4f} … {value['mAP_best']:.4f}"),
        ("95 % interval over queries", f"{interval['low']:.4f} … {interval['high']:.4f}"),
        ("denominator, no hit", f"{value['denominator']}, {value['no_hit']} ({value['queries_without_hit']} without)"),
        ("queries, database, bits", f"{value['queries']}, {value['database']}, {value['bits'] or 'real scores'}"),
        *((f"precision@{n}", f"{p:.4f}") for n, p in value["precision_at"].items()),
        (f"within radius {ball['radius']}", f"precision {ball['precision']:.4f}, recall {_number(ball['recall'])}"),
        ("distance within / between classes",
         f"{_number(inside['intra_class_distance'])} / {_number(inside['inter_class_distance'])} bits"),
        ("bit imbalance, correlation", f"{inside['bit_imbalance']:.4f}, {inside['bit_correlation']:.4f}"),
        ("quantisation error", f"{inside['quantisation_error']:.4f}"),
        ("codeword accuracy", _number(inside["codeword_accuracy"])),
        ("split", f"{value['protocol']['name']} {value['protocol']['checksum'][:16]}"),
        ("excluded as themselves", str(value["excluded"]) if value["excluded"] else None),
        ("unreadable images", str(len(value["unreadable"])) if value["unreadable"] else None),
        *((name, text) for name, text in where.items()),
    ]  # fmt: skip
    show_table([{"measure": name, "value": text} for name, text in rows if text is not None])


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
