"""The command that measures codes made by anything: score."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from bitseek.cli.console import show_json, show_table
from bitseek.errors import BitseekError


def score(
    codes: Path,
    /,
    *,
    at: str = "all",
    denominator: Literal["retrieved", "relevant", "min"] = "retrieved",
    ties: Literal["expected", "best", "worst", "stable"] = "expected",
    no_hit: Literal["zero", "skip"] = "zero",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure codes of your own: mAP@R that does not depend on the order of the database.

    The file is an .npz with `query_codes` and `database_codes`, (n, bits) as bool, 0/1 or −1/+1, or packed in bytes
    together with a number `bits`; `query_labels` and `database_labels`, (n,) integers or (n, C) multi-hot; and, where
    queries are in the database, `query_ids` and `database_ids`.

    Example: `bitseek score codes.npz --at 1000 --json`

    Args:
        codes: the .npz file.
        at: R, a number of ranks, or all.
        denominator: of AP: retrieved (hits in the top R), relevant, or min (of relevant and R).
        ties: how items at equal distance are ordered: expected (over all orders), best, worst, stable.
        no_hit: whether a query without a hit counts as zero, or is left out (skip).
        json: print the result as JSON.
    """
    from bitseek.metrics import retrieval

    if at != "all" and (not at.isdigit() or int(at) < 1):
        raise BitseekError(f"--at is a number of ranks, or all; got {at!r}")
    arrays = _read(codes)
    ids = {name: arrays[name] for name in ("query_ids", "database_ids") if name in arrays}
    report = retrieval(
        _codes(arrays, "query_codes"),
        _codes(arrays, "database_codes"),
        _labels(arrays, "query_labels"),
        _labels(arrays, "database_labels"),
        at=None if at == "all" else int(at),
        denominator=denominator,
        ties=ties,
        no_hit=no_hit,
        **ids,
    )
    if json:
        show_json(report.to_json())
    else:
        show_table([{"measure": name, "value": _shown(value)} for name, value in report.to_json().items()])


def _read(path: Path) -> dict[str, Any]:
    from bitseek.npz import read_npz

    arrays = read_npz(path)
    wanted = ("query_codes", "database_codes", "query_labels", "database_labels")
    if missing := [name for name in wanted if name not in arrays]:
        raise BitseekError(f"{path} has no array {missing[0]!r}; it needs {', '.join(wanted)}")
    return arrays


def _codes(arrays: dict[str, Any], name: str) -> Any:
    import numpy as np

    from bitseek.codes import Codes, words_per_code

    array = arrays[name]
    if "bits" not in arrays:
        return Codes.from_bits(array)
    bits = int(arrays["bits"])
    if array.ndim == 2 and array.dtype == np.uint64 and array.shape[1] == words_per_code(bits):
        return Codes(array, bits)
    if array.ndim == 2 and array.dtype == np.uint8 and array.shape[1] == -(-bits // 8) and bits > 1:
        # Distances are the same in either order of the bits in a byte; only the place of the padding tells them apart.
        try:
            return Codes.from_packed(array, bits, "little")
        except BitseekError:
            return Codes.from_packed(array, bits, "big")
    if array.ndim == 2 and array.shape[1] == bits:
        return Codes.from_bits(array)
    raise BitseekError(
        f"{name} is neither (n, {bits}) bits nor packed in (n, {-(-bits // 8)}) uint8 or "
        f"(n, {words_per_code(bits)}) uint64: it is {array.shape} {array.dtype}"
    )


def _labels(arrays: dict[str, Any], name: str) -> Any:
    import numpy as np

    labels = arrays[name]
    if labels.ndim == 1 and np.issubdtype(labels.dtype, np.floating) and (labels == np.floor(labels)).all():
        return labels.astype(np.int64)
    return labels


def _shown(value: Any) -> str:
    return f"{value:.6f}" if isinstance(value, float) else "all" if value is None else str(value)
