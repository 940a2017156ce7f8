"""Commands that write what a model makes, or the model itself, into a file: encode, export."""

from pathlib import Path
from typing import TYPE_CHECKING

from bitseek.cli._arguments import COMPUTE, Compute, Files, Flag, Json
from bitseek.cli._console import counting, note, note_unreadable, show
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.engines import Slice
    from bitseek.portable import OnnxHasher
    from bitseek.runs import Hasher

COLLECTION_FORMS = (".npz", ".parquet", ".faiss")


def encode(
    model: str,
    images: Files,
    /,
    *,
    out: Path,
    shard: str | None = None,
    shards: int | None = None,
    ray: str | None = None,
    bits: int | None = None,
    compute: Compute = COMPUTE,
    json: Json = False,
) -> None:
    """Write the codes of images to a file, or in shards to a folder.

    The file has `words` and `bits` (read it with `bitseek.Codes.load`), `paths`, and the model's `fingerprint`. With
    --shard or --shards the list of all images, sorted by the bytes of their paths, is cut into N equal slices, and the
    codes of a slice are written to the folder --out with a manifest of their own: by any number of machines, each with
    the same command but for the number of the shard. What is complete is skipped, what is not is done again. The whole
    folder is opened by `bitseek.engines.connect`.

    Example: `bitseek encode runs/my-run photos --out codes.npz`,
    `bitseek encode runs/my-run photos --shard 3/16 --out codes`

    Args:
        model: run folder, FILE.onnx, or org/name of the hub.
        images: images, and folders of images.
        out: the .npz file to write, or the folder of shards.
        shard: write one shard, NUMBER/TOTAL.
        shards: write all of so many shards, one after the other.
        ray: with --shards, let the machines of a cluster of Ray write them: HOST:PORT of its head, or local.
        bits: of nested codes, how many first bits: a length of the model; all by default.
    """
    if shard is None and shards is None:
        if ray is not None:
            raise BitseekError("--ray writes shards; say how many: --shards 16")
        _encode_file(model, images, out, bits, compute, json)
        return
    if shard is not None and (shards is not None or ray is not None):
        raise BitseekError("--shard is one shard, by this process; for all of them: --shards 16, alone or with --ray")
    from bitseek.engines import Slice

    slices = [Slice.parse(shard)] if shard is not None else Slice.all(shards or 0)
    _encode_shards(model, images, out, slices, ray, bits, compute, json)


def _encode_file(model: str, images: list[Path], out: Path, bits: int | None, compute: Compute, json: bool) -> None:
    """Write the codes of images to an .npz file."""
    import numpy as np

    from bitseek._files import free_target, names_in_npz
    from bitseek.images import find_images

    free_target(out, "a file of codes that encode wrote", lambda file: names_in_npz(file) >= {"words", "fingerprint"})
    files = find_images(images)
    if not files:
        raise BitseekError(f"there are no images in {', '.join(map(str, images))}")
    hasher = _loaded(model, bits, compute)
    unreadable: dict[int, str] = {}
    with counting("encoding") as progress:
        codes = hasher.encode(files, threads=compute.threads, progress=progress, unreadable=unreadable)
    note_unreadable(list(unreadable.values()))
    if not len(codes):
        raise BitseekError("none of the images could be read, so nothing was written")
    paths = [str(file) for i, file in enumerate(files) if i not in unreadable]
    codes.save(out, paths=np.array(paths, np.str_), fingerprint=np.str_(hasher.fingerprint))
    value = {"codes": str(out), "items": len(codes), "bits": codes.bits, "unreadable": list(unreadable.values())}
    show(value, f"{out}: {len(codes)} codes of {codes.bits} bits", json)


def _loaded(model: str, bits: int | None, compute: Compute) -> "Hasher | OnnxHasher":
    """A model, or that of its first bits."""
    from bitseek.portable import load

    hasher = load(model, device=compute.device, threads=compute.threads)
    return hasher if bits is None else hasher.prefix(bits)


def _encode_shards(
    model: str,
    images: list[Path],
    out: Path,
    slices: "list[Slice]",
    ray: str | None,
    bits: int | None,
    compute: Compute,
    json: bool,
) -> None:
    """Write shards to a folder, in this process or by a cluster."""
    from bitseek.engines import Model, encode_on_ray, encode_shards, listed

    files = listed(images)
    with counting("encoding") as progress:
        if ray is None:
            hasher = _loaded(model, bits, compute)
            done = encode_shards(hasher, files, out, slices, threads=compute.threads, progress=progress)
        else:
            host = "" if ray == "local" else ray.removeprefix("ray://").rstrip("/")
            loaded = Model(model, compute.device, compute.threads, bits)
            done = encode_on_ray(host, loaded, files, out, len(slices), progress=progress)
    unreadable = [message for each in done for message in each.unreadable]
    note_unreadable(unreadable)
    items, length = sum(each.items for each in done), done[0].bits
    skipped = [str(each.slice) for each in done if each.skipped]
    value = {
        "shards": str(out),
        "written": [str(each.slice) for each in done if not each.skipped],
        "skipped": skipped,
        "items": items,
        "bits": length,
        "unreadable": unreadable,
    }
    what = f"shard {slices[0]}" if len(slices) == 1 else f"{len(slices)} shards"
    before = f" ({len(skipped)} complete before)" if skipped else ""
    show(value, f"{out}: {what}, {items} codes of {length} bits{before}", json)


def export(
    source: str,
    out: Path,
    /,
    *,
    int8: Flag = False,
    images: Files | None = None,
    bits: int | None = None,
    json: Json = False,
) -> None:
    """Write a model as one file that needs no torch, or a collection's codes for another program.

    A RUN (or a name of the hub) becomes FILE.onnx: backbone, head, preprocessing and fingerprint in one file, which
    `encode`, `index`, `search`, `serve` and `bitseek.load` take through onnxruntime. A FILE.onnx and --int8 become a
    smaller and faster one, whose codes differ a little: they cannot be mixed with others. A COLLECTION becomes an .npz,
    a .parquet table, or a .faiss binary index.

    Example: `bitseek export runs/my-run model.onnx`, `bitseek export my-photos codes.npz`

    Args:
        source: run folder, FILE.onnx, or collection: its folder or address.
        out: the file to write: .onnx for a model; .npz, .parquet or .faiss for a collection.
        int8: quantise the network to 8 bits.
        images: images, and folders of images, by which the ranges of int8 are found; some hundred are enough.
        bits: of nested codes, how many first bits a RUN gives as FILE.onnx: a length of the run; all by default, and
            then the file gives every length.
    """
    from bitseek.engines import collection_exists, is_address, open_collection, without_password

    kind = out.suffix.lower()
    if is_address(source) or collection_exists(source):
        if kind not in COLLECTION_FORMS or int8 or images or bits is not None:
            raise BitseekError(
                f"{without_password(source)} is a collection: it is written as {', '.join(COLLECTION_FORMS)}, without "
                f"--int8, --images and --bits; got {out}"
            )
        with open_collection(source) as opened:
            opened.export(out)
            items = len(opened)
        show({"file": str(out), "items": items, "bits": opened.bits}, f"{out}: {items} items", json)
        return
    if kind != ".onnx":
        raise BitseekError(f"a model is written as FILE.onnx, got {out} (and {source} is not a collection)")
    if int8 != bool(images):
        raise BitseekError(
            "int8 needs images to find its ranges, and they are for nothing else: --int8 --images FOLDER"
        )
    hasher = _export_int8(source, images or [], out, bits) if int8 else _export(source, out, bits)
    size = out.stat().st_size
    value = {"file": str(out), "bytes": size, "bits": hasher.bits, "fingerprint": hasher.fingerprint}
    show(value, f"{out}: {hasher.bits} bits, {size / 1e6:.1f} MB, fingerprint {hasher.fingerprint}", json)


def _export(source: str, out: Path, bits: int | None) -> "OnnxHasher":
    """A model as an ONNX file, read back."""
    from bitseek.portable import OnnxHasher, export_onnx, load

    hasher = load(source)
    if isinstance(hasher, OnnxHasher):
        raise BitseekError(
            f"{source} is an ONNX model already; copy the file, or make it smaller: --int8 --images FOLDER"
        )
    note("tracing the network …")
    export_onnx(hasher if bits is None else hasher.prefix(bits), out)
    return OnnxHasher(out)


def _export_int8(source: str, images: list[Path], out: Path, bits: int | None) -> "OnnxHasher":
    """A model as an ONNX file in 8 bits, calibrated on images, read back."""
    from tempfile import TemporaryDirectory

    from bitseek.images import find_images
    from bitseek.portable import OnnxHasher, quantise

    files = find_images(images)
    if not files:
        raise BitseekError(f"there are no images in {', '.join(map(str, images))}")
    with TemporaryDirectory(prefix="bitseek-") as folder:
        whole = Path(source)
        if whole.suffix.lower() != ".onnx":
            whole = Path(folder, "model.onnx")
            _export(source, whole, bits)
        elif bits is not None:
            raise BitseekError(f"--bits is for a RUN, and {source} is a file of all bits: export the run")
        note(f"finding the ranges on {len(files)} images …")
        quantise(whole, files, out)
    return OnnxHasher(out)
