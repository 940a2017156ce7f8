"""Commands that tell what there is: methods, protocols, backbones, codebooks."""

from typing import Annotated, Any

from cyclopts import Parameter

from bitseek.cli.console import show_json, show_table

Json = Annotated[bool, Parameter(negative="")]


def methods(name: str | None = None, /, *, json: Json = False) -> None:
    """List the methods, or describe one with its hyper-parameters.

    Example: `bitseek methods orthohash`

    Args:
        name: of a method, to see all about it.
        json: print the result as JSON.
    """
    import dataclasses

    from bitseek.methods import METHODS, method_class

    names = list(METHODS) if name is None else [name]
    rows = []
    for each in names:
        cls = method_class(each)
        recipe = dataclasses.asdict(cls.recipe_class())
        rows.append({"method": each, **dataclasses.asdict(cls.card), "recipe": recipe})
    if json:
        show_json(rows)
    elif name is None:
        show_table([{k: row[k] for k in ("method", "year", "labels", "head", "idea")} for row in rows])
    else:
        recipe = rows[0].pop("recipe")
        show_table([{"about": key, "value": value} for key, value in rows[0].items()])
        show_table([{"hyper-parameter": key, "default": value} for key, value in recipe.items()])


def protocols(name: str | None = None, /, *, json: Json = False) -> None:
    """List the protocols, or describe one: its sizes, what to download, where to put it.

    Example: `bitseek protocols cifar10-1`

    Args:
        name: of a protocol, to see all about it.
        json: print the result as JSON.
    """
    from bitseek.data import OWN_PROTOCOLS, PROTOCOLS
    from bitseek.errors import BitseekError

    specs = {**PROTOCOLS, **{f"{k}:{spec.argument}": spec for k, spec in OWN_PROTOCOLS.items()}}
    kind = None if name is None else name.partition(":")[0]
    chosen = {k: s for k, s in specs.items() if kind is None or k.partition(":")[0] == kind}
    if not chosen:
        raise BitseekError(f"there is no protocol {name!r}; see: bitseek protocols")
    rows = [
        {
            "protocol": key,
            "summary": spec.summary,
            **dict(zip(("train", "query", "database"), spec.sizes or (None, None, None), strict=True)),
            "R": "all" if spec.at is None else spec.at,
            "citation": spec.citation,
            "needs": spec.needs,
            "options": {option: _plain(value) for option, value in spec.options.items()},
        }
        for key, spec in chosen.items()
    ]
    if json:
        show_json(rows)
    elif name is None:
        show_table([{k: row[k] for k in ("protocol", "train", "query", "database", "R", "summary")} for row in rows])
    else:
        show_table([{"about": key, "value": value} for key, value in rows[0].items()])


def backbones(pattern: str = "", /, *, json: Json = False) -> None:
    """List the backbones whose name has this in it; without one, those of bitseek and torchvision.

    Example: `bitseek backbones mobilenet`

    Args:
        pattern: part of a name; timm's are listed only with one.
        json: print the result as JSON.
    """
    from bitseek.errors import BitseekError
    from bitseek.models.backbone import OWN, TORCHVISION

    rows = [{"backbone": name, "from": "bitseek", "about": text} for name, text in OWN.items()]
    rows += [{"backbone": name, "from": "torchvision", "about": "4096 features of fc7"} for name in TORCHVISION]
    rows = [row for row in rows if pattern in row["backbone"]]
    if pattern:
        import timm

        found = timm.list_models(f"*{pattern.strip('*')}*")
        rows += [{"backbone": each, "from": "timm", "about": ""} for each in found]
    else:
        rows.append({"backbone": "…", "from": "timm", "about": "any name of timm; see: bitseek backbones PART-OF-NAME"})
    if not rows:
        raise BitseekError(f"no backbone has {pattern!r} in its name")
    if json:
        show_json([row for row in rows if row["backbone"] != "…"])
    else:
        show_table(rows)


def codebooks(*, classes: int = 100, bits: int = 64, seed: int = 0, json: Json = False) -> None:
    """List the codebooks, and what distance between codewords each reaches.

    Example: `bitseek codebooks --classes 21 --bits 32`

    Args:
        classes: number of codewords.
        bits: length of a codeword.
        seed: of the draw.
        json: print the result as JSON.
    """
    from bitseek.codebooks import ALIASES, CODEBOOKS, codebook

    rows = []
    for name in CODEBOOKS:
        book = codebook(name, classes, bits, seed)
        letters = ", ".join(letter for letter, full in ALIASES.items() if full == name)
        rows.append({
            "codebook": name,
            "letters": letters,
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


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
