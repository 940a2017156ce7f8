"""The command that puts measured figures beside published ones: reproduce."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bitseek.cli.console import literal, note, say, settings, show_json, show_table, training_bar
from bitseek.cli.learn import Settings

if TYPE_CHECKING:
    from bitseek.reproduce import Row


def reproduce(
    row: str | None = None,
    /,
    *,
    seed: int = 0,
    out: Path | None = None,
    root: Path | None = None,
    weights: str = "pretrained",
    quick: Annotated[bool, Parameter(negative="")] = False,
    backbone: str | None = None,
    size: int | None = None,
    frozen: Annotated[bool, Parameter(negative="")] = False,
    set: Annotated[Settings, Parameter(name="--set")] = (),
    backbone_set: Settings = (),
    device: str = "auto",
    threads: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List the published figures, or run the training behind one and put what we measure beside it.

    Example: `bitseek reproduce relahash-readme/cifar10-1-relahash-64`

    Figures that we have not read where they are printed are marked "not verified"; they are no reference. A row
    whose data or weights are not there says what to do, and is passed over. The options from --quick to
    --backbone-set depart from the published recipe: the result then says so, and how.

    Args:
        row: name of a row, of a table for all of its rows, or all. Without one: the list.
        seed: of everything that is drawn.
        out: folder of the results; benchmarks/results in a checkout, else results.
        root: folder of the data; the variable BITSEEK_DATA or a folder of your own by default.
        weights: of the backbone: pretrained (downloads), a FILE, or none.
        quick: two epochs on a small part of the data, to see that all of it works.
        backbone: another network than the published one.
        size: side of the backbone's input in pixels.
        frozen: train only the head, on features that are computed once.
        set: other hyper-parameters, NAME=VALUE.
        backbone_set: other options of the backbone and its pixels, NAME=VALUE.
        device: cpu, cuda, cuda:1, mps or auto.
        threads: how many threads decode files.
        json: print the result as JSON.
    """
    from bitseek.reproduce import find, published, read_results, results_folder

    folder = out or results_folder()
    if row is None:
        _list(list(published().values()), read_results(folder), json)
        return
    from bitseek.reproduce import Changes, write_result
    from bitseek.reproduce import reproduce as run

    changes = Changes(
        quick=quick,
        backbone=backbone,
        size=size,
        frozen=frozen,
        recipe=settings(set),
        backbone_options={name: literal(value) for name, value in settings(backbone_set).items()},
    )
    results: list[dict[str, Any]] = []
    for each in find(row):
        with training_bar() as bar:
            result = run(
                each,
                seed=seed,
                root=root,
                weights=weights,
                device=device,
                changes=changes,
                threads=threads,
                progress=bar,
            )
        if result["status"] == "absent":
            known = any(result["reason"] == before.get("reason") for before in results)
            note(f"{each.name}: absent: {'as above' if known else result['reason']}")
        else:
            note(f"{each.name}: {_outcome(result)}; kept in {write_result(folder, each, result)}")
        results.append(result)
    if json:
        show_json(results)
    else:
        show_table([_line(result) for result in results])


def _list(rows: "list[Row]", results: dict[str, list[dict[str, Any]]], json: bool) -> None:
    if json:
        show_json([{**row.to_json(), "results": results.get(row.name, [])} for row in rows])
        return
    for table in dict.fromkeys(row.table for row in rows):
        here = [row for row in rows if row.table == table]
        show_table([_entry(row, results.get(row.name, [])) for row in here], f"\n{table}: {here[0].source}")
    unread = sum(not row.verified for row in rows)
    say(f"{len(rows)} rows; {unread} of them not verified: recalled from the literature, no reference.")
    say("Run one by: bitseek reproduce ROW    All about them: bitseek reproduce --json")


def _entry(row: "Row", results: list[dict[str, Any]]) -> dict[str, Any]:
    done = [result for result in results if result["published_recipe"] and result["status"] == "measured"]
    return {
        "row": row.name,
        "backbone": row.backbone,
        "R": _ranks(row),
        "settings": " ".join(f"{name}={value}" for name, value in row.recipe.items()),
        "published": f"{row.figure:g}" + ("" if row.verified else " (not verified)"),
        "measured": " ".join(f"{result['measured']:.3f}" for result in done),
    }


def _ranks(row: "Row") -> str:
    from bitseek.data import PROTOCOLS

    at = PROTOCOLS[(row.tested_on or row.protocol).partition(":")[0]].at
    return row.measure if row.measure != "mAP" else "all" if at is None else str(at)


def _outcome(result: dict[str, Any]) -> str:
    if result["status"] == "failed":
        return f"failed: {result['reason']}"
    verdict = "" if result["published_recipe"] else " (not the published recipe)"
    return f"measured {result['measured']:.4f}, published {result['published']:g}{verdict}"


def _line(result: dict[str, Any]) -> dict[str, Any]:
    return {
        "row": result["row"],
        "status": result["status"],
        "published": f"{result['published']:g}" + ("" if result["verified"] else " (not verified)"),
        "measured": f"{result['measured']:.4f}" if "measured" in result else "",
        "recipe": "published" if result["published_recipe"] else f"not the published recipe: {result['changes']}",
        "seed": result["seed"],
        "seconds": result.get("seconds", ""),
    }
