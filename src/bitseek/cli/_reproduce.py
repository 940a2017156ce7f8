"""The command that puts measured figures beside published ones: reproduce."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitseek.cli._arguments import COMPUTE, Compute, Flag, Json, Network, Recipe, literals, settings
from bitseek.cli._console import note, say, show_json, show_table, training

if TYPE_CHECKING:
    from bitseek.reproduce import Row

PRETRAINED = Network(weights="pretrained")


def reproduce(
    row: str | None = None,
    /,
    *,
    seed: int = 0,
    out: Path | None = None,
    root: Path | None = None,
    quick: Flag = False,
    backbone: str | None = None,
    frozen: Flag = False,
    recipe: Recipe = (),
    network: Network = PRETRAINED,
    compute: Compute = COMPUTE,
    json: Json = False,
) -> None:
    """List the published figures, or run the training behind one and put what we measure beside it.

    Example: `bitseek reproduce relahash-readme/cifar10-1-relahash-64`

    Every figure was read where its table says; none is from memory. A row whose data or weights are not there says
    what to do, and is passed over. The options --quick, --backbone, --frozen, --set, --size and --backbone-set depart
    from the published recipe: the result then says so, and how.

    Args:
        row: name of a row, of a table for all of its rows, or all. Without one: the list.
        seed: of everything that is drawn.
        out: folder of the results; benchmarks/results in a checkout, else results.
        root: folder of the data; by default the variable BITSEEK_DATA, or a folder of your own.
        quick: two epochs on a small part of the data, to see that all of it works.
        backbone: another network than the published one.
        frozen: train only the head, on features that are computed once.
        recipe: other hyper-parameters, NAME=VALUE.
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
        size=network.size,
        frozen=frozen,
        recipe=settings(recipe),
        backbone_options=literals(network.backbone_set),
    )
    where: dict[str, Any] = {
        "root": root,
        "weights": network.weights,
        "device": compute.device,
        "threads": compute.threads,
    }
    results: list[dict[str, Any]] = []
    for each in find(row):
        with training() as progress:
            result = run(each, seed=seed, changes=changes, progress=progress, **where)
        if result["status"] == "absent":
            known = any(result["reason"] == before.get("reason") for before in results)
            note(f"{each.name}: absent: {'as above' if known else result['reason']}")
        else:
            reason = f" ({result['reason']})" if "reason" in result else ""
            note(f"{each.name}: {result['status']}{reason}; kept in {write_result(folder, each, result)}")
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
        say("")
        show_table([_entry(row, results.get(row.name, [])) for row in here], f"{table}: {here[0].source}", prose=True)
    say(f"{len(rows)} rows. Run one by: bitseek reproduce ROW    All about them: bitseek reproduce --json")


def _entry(row: "Row", results: list[dict[str, Any]]) -> dict[str, Any]:
    from bitseek.data import PROTOCOLS

    done = [result for result in results if result["published_recipe"] and result["status"] == "measured"]
    k = PROTOCOLS[row.measured_on[0]].k
    return {
        "row": row.name,
        "backbone": row.backbone,
        "measure": row.measure if row.measure != "mAP" else f"mAP@{k or 'all'}",
        "published": f"{row.figure:g}",
        "measured": " ".join(f"{result['measured']:.3f}" for result in done),
        "settings": " ".join(f"{name}={_short(value)}" for name, value in row.recipe.items()),
    }


def _short(value: Any) -> str:
    """A setting in few letters; numbers with three digits."""
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _line(result: dict[str, Any]) -> dict[str, Any]:
    return {
        "row": result["row"],
        "status": result["status"],
        "published": f"{result['published']:g}",
        "measured": f"{result['measured']:.4f}" if "measured" in result else "",
        "recipe": "published" if result["published_recipe"] else f"not the published recipe: {result['changes']}",
        "seed": result["seed"],
        "seconds": result.get("seconds", ""),
    }
