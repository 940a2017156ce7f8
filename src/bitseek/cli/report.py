"""The command that shows a run as a page: report."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from bitseek.cli.console import counting_bar, literal, note, say, settings
from bitseek.cli.learn import Settings, _ranks
from bitseek.errors import BitseekError


def report(
    run: Path,
    /,
    *,
    protocol: str | None = None,
    out: Path | None = None,
    at: str = "protocol",
    denominator: Literal["retrieved", "relevant", "min"] | None = None,
    map: Literal["tsne", "umap"] = "tsne",
    sample: int = 1500,
    tensorboard: Annotated[bool, Parameter(negative="")] = False,
    seed: int | None = None,
    protocol_set: Settings = (),
    root: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> None:
    """Write one self-contained HTML page about a run: curves, mAP, a map of the codes, classes, bits, queries.

    The page needs nothing else and works without a network: open it from the disk, or send it to somebody. It holds
    small copies of some images, and their names.

    Example: `bitseek report runs/cifar10-1-orthohash-64-s0`

    Args:
        run: run folder.
        protocol: another protocol than that of the training.
        out: the .html file; report.html in the run folder by default.
        at: R of mAP, a number of ranks; all; or protocol, for what the protocol says.
        denominator: of AP: retrieved (hits in the top R), relevant, or min (of relevant and R).
        map: how the codes are laid out in the plane: tsne or umap.
        sample: most items on the map.
        tensorboard: also write the codes for the embedding projector of TensorBoard, into RUN/tensorboard.
        seed: of the split; that of the training by default.
        protocol_set: options of the protocol, NAME=VALUE.
        root: folder of the data.
        device: cpu, cuda, cuda:1, mps or auto.
        threads: how many threads decode files.
    """
    if sample < 1:
        raise BitseekError(f"a map shows at least 1 item, got --sample {sample}")
    from bitseek.report.findings import look
    from bitseek.report.page import write_page
    from bitseek.training import pick_device

    options: dict[str, Any] = {name: literal(value) for name, value in settings(protocol_set).items()}
    with counting_bar("encoding") as bar:
        findings = look(
            run,
            protocol,
            at=_ranks(at),
            denominator=denominator,
            seed=seed,
            root=root,
            device=str(pick_device(device)),
            threads=threads,
            progress=bar,
            **options,
        )
    note("drawing …")
    page = write_page(out or run / "report.html", findings, map_kind=map, sample=sample, threads=threads)
    say(str(page))
    if tensorboard:
        from bitseek.report.projector import write_projector

        folder = write_projector(run / "tensorboard", findings, sample=sample, threads=threads)
        note(f"look at it with: tensorboard --logdir {folder}")
