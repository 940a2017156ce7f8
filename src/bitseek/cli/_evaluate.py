"""Commands that measure a run: evaluate, report."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import Parameter

from bitseek.cli import _arguments as arguments
from bitseek.cli._console import counting, note, show, show_json, show_table
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.evaluation import Ranking, Report
    from bitseek.metrics import Retrieval


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How a run is measured, in the words of `bitseek.evaluate`.

    Attributes:
        protocol: another protocol than that of the training.
        bits: of nested codes, how many first bits are measured: a length of the run, or all of its lengths.
        k: of mAP@k: a number of ranks; all; or protocol, for what the protocol says.
        denominator: of AP: retrieved (relevant in the top k), relevant, or min (of relevant and k).
        ties: how items at equal distance are ordered: expected (over all orders), best, worst, stable.
        no_hit: whether a query without a relevant item in its top k counts as zero, or is left out (skip).
        radius: Hamming distance within which precision and recall are measured.
        ranking: hamming, asymmetric (the query's logits against codes), reranked (the nearest, by that), ternary,
            or learned (the codes that the method learned for a database of training items).
        candidates: how many are ranked anew with reranked.
        ternary: bits abstain where the logit is nearer to 0 than this.
        adapt_batch_norm: estimate batch norm anew on the database, for another kind of images than the training's.
        allow_trained_queries: measure although queries were training items; the report says their share.
        seed: of the split; that of the training by default.
    """

    protocol: str | None = None
    bits: int | Literal["all"] = "all"
    k: arguments.CutOff = "protocol"
    denominator: arguments.Denominator | None = None
    ties: arguments.Ties = "expected"
    no_hit: arguments.NoHit = "zero"
    radius: int = 2
    ranking: Literal["hamming", "asymmetric", "reranked", "ternary", "learned"] = "hamming"
    candidates: int = 1000
    ternary: float = 0.0
    adapt_batch_norm: arguments.Flag = False
    allow_trained_queries: arguments.Flag = False
    seed: int | None = None


MEASURING = Measuring()


def evaluate(
    run: Path,
    /,
    *,
    out: Path | None = None,
    how: Measuring = MEASURING,
    source: arguments.Data = arguments.DATA,
    compute: arguments.Compute = arguments.COMPUTE,
    json: arguments.Json = False,
) -> None:
    """Measure a run on its own split or another: mAP@k in expectation over ties, its bounds, and a look at the codes.

    What is measured on the run's own split as its protocol says becomes the run's report.json and stands in its card;
    anything else is only printed, or written with --out.

    Example: `bitseek evaluate runs/cifar10-1-orthohash-64-s0 -k 1000`

    Args:
        run: run folder.
        out: file to write the report to, as JSON.
    """
    from bitseek._files import free_target, write_json
    from bitseek.models import rank

    if out is not None:
        free_target(out, "a report that evaluate wrote", _is_report)
    found = _measure(run, how, source, compute)
    show_report(found, json, run=str(run))
    if out is not None and rank() == 0:
        write_json(out, found.to_json())
    keep(found, run)


def report(
    run: Path,
    /,
    *,
    out: Path | None = None,
    map: Literal["tsne", "umap"] = "tsne",
    sample: int = 1500,
    tensorboard: arguments.Flag = False,
    how: Measuring = MEASURING,
    source: arguments.Data = arguments.DATA,
    compute: arguments.Compute = arguments.COMPUTE,
    json: arguments.Json = False,
) -> None:
    """Write one self-contained HTML page about a run: curves, mAP, a map of the codes, classes, bits, queries.

    The page needs nothing else and works without a network: open it from the disk, or send it to somebody. It holds
    small copies of some images, and their names.

    Example: `bitseek report runs/cifar10-1-orthohash-64-s0`

    Args:
        run: run folder.
        out: the .html file; report.html in the run folder by default.
        map: how the codes are laid out in the plane: tsne or umap.
        sample: most items on the map.
        tensorboard: also write the codes for the embedding projector of TensorBoard, into RUN/tensorboard.
    """
    if sample < 1:
        raise BitseekError(f"a map shows at least 1 item, got --sample {sample}")
    from bitseek.models import rank
    from bitseek.report import free_page, write_page, write_projector
    from bitseek.runs import read_history
    from bitseek.training import read_search

    place = free_page(out or run / "report.html")
    found = _measure(run, how, source, compute)
    if rank() > 0:  # of processes that measured together the first one draws
        return
    note("drawing …")
    options: dict[str, Any] = {"sample": sample, "threads": compute.threads}
    logged = {"history": read_history(run), "search": read_search(run)}
    page = write_page(place, found, map_kind=map, **logged, **options)
    if tensorboard:
        folder = write_projector(run / "tensorboard", found, **options)
        note(f"look at it with: tensorboard --logdir {folder}")
    show({"page": str(page), "figure": found.title, "mAP": found.mAP}, str(page), json)


def _measure(run: Path, how: Measuring, source: arguments.Data, compute: arguments.Compute) -> "Report":
    """The report of a run; of processes that `torchrun` started each encodes its share."""
    from bitseek.evaluation import evaluate as evaluate_hasher
    from bitseek.models import join_ranks, pick_device
    from bitseek.runs import load

    hasher = load(run, device=join_ranks(pick_device(compute.device)))
    options = arguments.given(how, source) | arguments.literals(source.protocol_set) | {"threads": compute.threads}
    if how.k == "all":
        options["k"] = None
    with counting("encoding") as progress:
        found = evaluate_hasher(hasher, progress=progress, **options)
    if how.protocol is None and how.seed is None and not source.protocol_set and not found.own_split:
        note("this is not the split that the run was trained on: its checksum differs, so the data have changed")
    return found


def _is_report(file: Path) -> bool:
    """Whether a file holds what `Report.to_json` gave."""
    from bitseek._files import read_json

    value = read_json(file)
    return isinstance(value, dict) and {"levels", "own_split"} <= value.keys()


def keep(found: "Report", run: Path) -> None:
    """Make a report that of its run, if it is the figure by which the run is known, of all bits of its codes."""
    from bitseek.runs import RunConfig, keep_report

    if found.plain and found.fingerprint == RunConfig.read(run).fingerprint:
        keep_report(run, found.to_json())


def show_report(found: "Report", as_json: bool, **where: str) -> None:
    """The figures of each level, and what else is known of the codes."""
    value = found.to_json()
    if as_json:
        show_json({**where, **value})
        return
    if found.levels:
        columns = [_figures(level, found.ranking) for level in found.levels.values()]
        names = ["value"] if list(found.levels) == ["all"] else list(found.levels)
        show_table([
            {"measure": row, **{name: column.get(row) for name, column in zip(names, columns, strict=True)}}
            for row in columns[0]
        ])  # fmt: skip
        if found.prefixes:
            show_table([_row(report) for report in found.by_length.values()], "by number of first bits")
    else:
        note("nothing is known to be relevant to a query, so there is no mAP")
    inside, near = value["diagnostics"], value.get("within_radius")
    facts = {
        "distance within / between classes":
            f"{_number(inside['intra_class_distance'])} / {_number(inside['inter_class_distance'])} bits",
        "bit imbalance, correlation": f"{_number(inside['bit_imbalance'])}, {_number(inside['bit_correlation'])}",
        "quantisation error": _number(inside["quantisation_error"]),
        "codeword accuracy": _number(inside["codeword_accuracy"]),
        "split": f"{value['protocol']['name']} {value['protocol']['checksum'][:16]}",
        "unreadable images": len(value["unreadable"]) or None,
        **where,
    }  # fmt: skip
    if near:
        within = f"precision {_number(near['precision'])}, recall {_number(near['recall'])}"
        facts = {f"within radius {near['radius']}": within, **facts}
    if found.trained_queries:
        facts["queries that were training items"] = f"{100 * found.trained_queries:.1f} %"
    show_table([{"about": name, "value": text} for name, text in facts.items() if text is not None])


def _figures(level: "Retrieval", ranking: "Ranking") -> dict[str, str]:
    """The figures of one level, by name."""
    from bitseek.evaluation import figure_name

    interval = level.interval()
    return {
        figure_name(level, ranking): _number(level.mAP),
        "bounds over ties": f"{_number(level.mAP_worst)} … {_number(level.mAP_best)}",
        "95 % interval over queries": f"{_number(interval.low)} … {_number(interval.high)}",
        "queries, of these without a relevant item": f"{level.queries}, {level.queries_without_relevant}",
        "database, bits": f"{level.database}, {level.bits or 'real scores'}",
        **{f"precision@{k}": _number(mean) for k, mean in level.to_json()["precision_at"].items()},
    }


def _row(report: "Report") -> dict[str, str]:
    """The figures of one length of nested codes."""
    main = report.main
    assert main is not None
    return {
        "bits": str(report.bits),
        "mAP": _number(report.mAP),
        "bounds over ties": f"{_number(report.mAP_worst)} … {_number(report.mAP_best)}",
        **{f"precision@{k}": _number(mean) for k, mean in main.to_json()["precision_at"].items()},
    }


def _number(value: float | None) -> str:
    return "none" if value is None or math.isnan(value) else f"{value:.4f}"
