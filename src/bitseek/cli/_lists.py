"""Commands that list what there is: methods, protocols, backbones, codebooks."""

from collections.abc import Iterator
from typing import Any

from bitseek.cli._arguments import Json
from bitseek.cli._console import show_json, show_table
from bitseek.errors import BitseekError


def methods(name: str | None = None, /, *, json: Json = False) -> None:
    """List the methods, or describe one with its hyper-parameters.

    Example: `bitseek methods orthohash`

    Args:
        name: of a method, to see all about it.
    """
    import dataclasses

    from bitseek.methods import METHODS, make_recipe, method_class

    rows = []
    for each in METHODS if name is None else [name]:
        cls = method_class(each)
        recipe, of_a_head = (make_recipe(cls, {}, frozen=frozen).model_dump(mode="json") for frozen in (False, True))
        rows.append({"method": each, **dataclasses.asdict(cls.card), "recipe": recipe, "head_recipe": of_a_head})
    if json:
        show_json(rows)
    elif name is None:
        show_table([{k: row[k] for k in ("method", "year", "labels", "head", "idea")} for row in rows], prose=True)
    else:
        recipe, of_a_head = (
            {name: "none" if value is None else value for name, value in rows[0].pop(kind).items()}
            for kind in ("recipe", "head_recipe")
        )
        _show_about(rows[0])
        show_table([
            {"hyper-parameter": name, "default": value, "of a head on features": of_a_head[name]}
            for name, value in recipe.items()
        ])  # fmt: skip


def protocols(name: str | None = None, /, *, json: Json = False) -> None:
    """List the protocols, or describe one: its sizes, what to download, where to put it.

    Of folder:PATH it counts what is there: classes, images of each, and how they would be split.

    Example: `bitseek protocols cifar10-1`, `bitseek protocols folder:my-pictures`

    Args:
        name: of a protocol, to see all about it.
    """
    from bitseek.data import OWN_PROTOCOLS, PROTOCOLS

    specs = {**PROTOCOLS, **{f"{kind}:{spec.argument}": spec for kind, spec in OWN_PROTOCOLS.items()}}
    kind, _, path = (name or "").partition(":")
    rows: list[dict[str, Any]] = [
        {
            "protocol": key,
            "summary": spec.summary,
            **dict(zip(("train", "query", "database"), spec.sizes, strict=True)),
            "k": "all" if spec.k is None else spec.k,
            "citation": spec.citation,
            "needs": spec.needs,
            "options": spec.options,
        }
        for key, spec in specs.items()
        if name is None or key.partition(":")[0] == kind
    ]
    if not rows:
        raise BitseekError(f"there is no protocol {name!r}; see: bitseek protocols")
    if path and kind in OWN_PROTOCOLS:
        rows[0] |= {"protocol": name, **(OWN_PROTOCOLS[kind].describe(path) or {})}
    if json:
        show_json(rows)
    elif name is None:
        columns = ("protocol", "train", "query", "database", "k", "summary")
        show_table([{column: row[column] for column in columns} for row in rows], prose=True)
    else:
        _show_about(rows[0])


def backbones(pattern: str = "", /, *, json: Json = False) -> None:
    """List the backbones whose name has this in it; without one, those of bitseek and torchvision.

    Example: `bitseek backbones mobilenet`

    Args:
        pattern: part of a name; timm's are listed only with one.
    """
    from bitseek.models import SMALL_CNN, TORCHVISION

    rows = [{"backbone": "small-cnn", "from": "bitseek", "about": SMALL_CNN}]
    rows += [{"backbone": name, "from": "torchvision", "about": "4096 features of fc7"} for name in TORCHVISION]
    rows = [row for row in rows if pattern in row["backbone"]]
    if pattern:
        import timm

        found = timm.list_models(f"*{pattern.strip('*')}*")
        rows += [{"backbone": each, "from": "timm", "about": ""} for each in found]
    elif not json:
        rows.append({"backbone": "…", "from": "timm", "about": "any name of timm; see: bitseek backbones PART-OF-NAME"})
    if not rows:
        raise BitseekError(f"no backbone has {pattern!r} in its name")
    if json:
        show_json(rows)
    else:
        show_table(rows)


def codebooks(*, classes: int = 100, bits: int = 64, seed: int = 0, json: Json = False) -> None:
    """List the codebooks, and what distance between codewords each reaches.

    Example: `bitseek codebooks --classes 21 --bits 32`

    Args:
        classes: number of codewords.
        bits: length of a codeword.
        seed: of the draw.
    """
    from bitseek.codebooks import ALIASES, CODEBOOKS, make_codebook

    rows = []
    for name in CODEBOOKS:
        book = make_codebook(name, classes, bits, seed)
        rows.append({
            "codebook": name,
            "letters": ", ".join(letter for letter, full in ALIASES.items() if full == name),
            "classes": classes,
            "bits": bits,
            "minimum_distance": book.minimum_distance,
            "mean_distance": round(book.mean_distance, 3),
            "upper_bound": book.upper_bound,
            "repaired": book.repaired,
        })  # fmt: skip
    if json:
        show_json(rows)
    else:
        show_table(rows)


def _show_about(row: dict[str, Any]) -> None:
    """Everything about one thing, on a line each; names within a name follow it after a colon."""

    def facts(value: Any, name: str) -> Iterator[dict[str, Any]]:
        if not isinstance(value, dict):
            yield {"about": name, "value": value}
        for inner, each in value.items() if isinstance(value, dict) else ():
            yield from facts(each, f"{name}: {inner}" if name else inner)

    show_table([fact for fact in facts(row, "") if fact["value"] is not None], prose=True)
