"""Commands for files of codes, made by anything: score, convert."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bitseek.cli._arguments import Denominator, Json, NoHit, Ties
from bitseek.cli._console import show, show_json, show_table
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.codes import Codes

Order = Literal["little", "big"]


def score(
    codes: Path,
    /,
    *,
    k: Annotated[int | Literal["all"], Parameter(name=("-k", "--k"))] = "all",
    denominator: Denominator = "retrieved",
    ties: Ties = "expected",
    no_hit: NoHit = "zero",
    bit_order: Order | None = None,
    device: str | None = None,
    json: Json = False,
) -> None:
    """Measure codes of your own: mAP@k that does not depend on the order of the database.

    The file is an .npz with `query_codes` and `database_codes`, (n, bits) as bool, 0/1 or −1/+1, or packed in bytes
    together with a number `bits` and, if you like, `bit_order` (little or big); `query_labels` and `database_labels`,
    (n,) integers or (n, C) multi-hot; and, where queries are in the database, `query_ids` and `database_ids`.

    Example: `bitseek score codes.npz -k 1000 --json`

    Args:
        codes: the .npz file.
        k: of mAP@k: a number of ranks, or all.
        denominator: of AP: retrieved (relevant in the top k), relevant, or min (of relevant and k).
        ties: how items at equal distance are ordered: expected (over all orders), best, worst, stable.
        no_hit: whether a query without a relevant item in its top k counts as zero, or is left out (skip).
        bit_order: of packed bytes: whether the first bit of a code is the lowest or the highest of its byte.
        device: where the database is counted by distance: cuda, cuda:1; the figures are the same.
    """
    from bitseek._files import read_npz
    from bitseek.metrics import Relevance, retrieval

    arrays = read_npz(codes)
    wanted = ("query_codes", "database_codes", "query_labels", "database_labels")
    if missing := [name for name in wanted if name not in arrays]:
        raise BitseekError(f"{codes} has no array {missing[0]!r}; it needs {', '.join(wanted)}")
    relevance = Relevance.from_labels(
        *(_whole(arrays[name]) for name in ("query_labels", "database_labels")),
        **{name: arrays[name] for name in ("query_ids", "database_ids") if name in arrays},
    )
    report = retrieval(
        *_codes(codes, arrays, bit_order),
        relevance,
        k=None if k == "all" else k,
        denominator=denominator,
        ties=ties,
        no_hit=no_hit,
        device=device,
    ).to_json()
    if json:
        show_json(report)
    else:
        show_table(
            [
                {"measure": name, "value": "all" if name == "k" and value is None else _shown(value)}
                for name, value in report.items()
            ]
        )


def convert(
    source: Path,
    target: Path,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
    bits: int | None = None,
    json: Json = False,
) -> None:
    """Translate a file of codes into the form that another program reads.

    Forms: npz (bitseek's own), faiss (an IndexBinaryFlat), packed-little and packed-big (.npy of bytes), signs (.npy
    of −1 and +1), hex (text, one code a line).

    Example: `bitseek convert codes.npz codes.faiss`

    Args:
        source: the file to read.
        target: the file to write.
        from_: form of the source; by default what its name ends in, .npz or .faiss.
        to: form of the target; by default what its name ends in, .npz or .faiss.
        bits: length of a code, where the source holds whole bytes; all of them by default.
    """
    from bitseek._files import free_target
    from bitseek.codes import Codes

    read, written = _form(source, from_, "--from"), _form(target, to, "--to")
    free_target(target, "to be replaced by a conversion")
    codes = Codes.load(source, read, bits)
    codes.save(target, written)
    text = f"{target}: {len(codes)} codes of {codes.bits} bits"
    show({"codes": str(target), "form": written, "items": len(codes), "bits": codes.bits}, text, json)


_ENDINGS = {".npz": ("npz",), ".faiss": ("faiss",), ".npy": ("packed-little", "packed-big", "signs")}
"""Forms that a file of such a name may have; with another name it may have any."""


def _form(file: Path, given: str | None, option: str) -> str:
    """The form of a file: what was given, or what its name says.

    Raises:
        BitseekError: the name says nothing, or another form than was given.
    """
    from bitseek.codes import FORMS

    fitting = _ENDINGS.get(file.suffix.lower(), ())
    if given is None:
        if len(fitting) != 1:
            some = ", ".join(fitting or FORMS)
            raise BitseekError(f"the name of {file} does not say which form it has; say so with {option}: {some}")
        return fitting[0]
    if fitting and given in FORMS and given not in fitting:
        raise BitseekError(
            f"{file} ends in {file.suffix}, as a file of the form {' or '.join(fitting)} does, but {option} is "
            f"{given}; take another name or another form"
        )
    return given


def _codes(path: Path, arrays: dict[str, Any], order: Order | None) -> "tuple[Codes, Codes]":
    """Codes of queries and database, in whichever form they are."""
    import numpy as np

    from bitseek._checks import whole_number
    from bitseek.codes import Codes, words_per_code

    pair = arrays["query_codes"], arrays["database_codes"]
    if "bits" not in arrays:
        if any(array.dtype.kind == "u" and (array > 1).any() for array in pair):
            raise BitseekError(f"{path} has packed codes, but no number `bits` that says how many bits of them count")
        return Codes.from_bits(pair[0]), Codes.from_bits(pair[1])
    bits = whole_number(arrays["bits"], "bits")
    if all(array.ndim == 2 and array.shape[1] == bits for array in pair):
        return Codes.from_bits(pair[0]), Codes.from_bits(pair[1])
    if all(array.shape[1:] == (words_per_code(bits),) and array.dtype == np.uint64 for array in pair):
        return Codes(pair[0], bits), Codes(pair[1], bits)
    if all(array.shape[1:] == (-(-bits // 8),) and array.dtype == np.uint8 for array in pair):
        return _unpacked(path, pair, bits, order or str(arrays.get("bit_order", "")))
    raise BitseekError(
        f"the codes in {path} are neither (n, {bits}) bits nor both packed in (n, {-(-bits // 8)}) uint8 or "
        f"(n, {words_per_code(bits)}) uint64: they are {pair[0].shape} {pair[0].dtype} and {pair[1].shape} "
        f"{pair[1].dtype}"
    )


def _unpacked(path: Path, pair: tuple[Any, Any], bits: int, stated: Any) -> "tuple[Codes, Codes]":
    """Codes from bytes, both in one order of bits: in either one, if both are possible, as distances are the same.

    The bits beyond the last one of a code are zero; which end of the last byte they are at tells the orders apart.
    """
    from bitseek.codes import Codes
    from bitseek.errors import ShapeError

    if stated not in ("", "little", "big"):
        raise BitseekError(f"bit_order in {path} is little or big, got {stated!r}")
    orders: tuple[Order, ...] = (stated,) if stated else ("little", "big")
    for order in orders:
        try:
            return Codes.from_packed(pair[0], bits, order), Codes.from_packed(pair[1], bits, order)
        except ShapeError as error:
            if stated:
                raise BitseekError(f"{path} is not packed in {stated} bit order: {error}") from error
    raise BitseekError(
        f"{path}: with neither bit order are the {-bits % 8} bits beyond bit {bits} zero in all packed codes; pack "
        "queries and database alike (numpy.packbits with one bitorder)"
    )


def _whole(labels: Any) -> Any:
    """Class numbers that are stored as reals, as integers."""
    import numpy as np

    whole = np.issubdtype(labels.dtype, np.floating) and labels.ndim == 1 and (labels == np.floor(labels)).all()
    return labels.astype(np.int64) if whole else labels


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_shown(each)}" for name, each in value.items())
    return f"{value:.6f}" if isinstance(value, float) else "none" if value is None else str(value)
