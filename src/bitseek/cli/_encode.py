"""Commands that write what a model makes, or the model itself, into a file: encode, export."""

from pathlib import Path
from typing import TYPE_CHECKING

from bitseek.cli._arguments import COMPUTE, Compute, Files, Flag, Json
from bitseek.cli._console import counting, note, note_unreadable, show
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.portable import OnnxHasher

COLLECTION_FORMS = (".npz", ".parquet", ".faiss")


def encode(
    model: str,
    images: Files,
    /,
    *,
    out: Path,
    compute: Compute = COMPUTE,
    json: Json = False,
) -> None:
    """Write the codes of images to a file.

    The file has `words` and `bits` (read it with `bitseek.Codes.load`), `paths`, and the model's `fingerprint`.

    Example: `bitseek encode runs/my-run photos --out codes.npz`

    Args:
        model: run folder, FILE.onnx, or org/name of the hub.
        images: images, and folders of images.
        out: the .npz file to write.
    """
    import numpy as np

    from bitseek._files import free_target, names_in_npz
    from bitseek.images import find_images
    from bitseek.portable import load

    free_target(out, "a file of codes that encode wrote", lambda file: names_in_npz(file) >= {"words", "fingerprint"})
    files = find_images(images)
    if not files:
        raise BitseekError(f"there are no images in {', '.join(map(str, images))}")
    hasher = load(model, device=compute.device, threads=compute.threads)
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


def export(
    source: str,
    out: Path,
    /,
    *,
    int8: Flag = False,
    images: Files | None = None,
    json: Json = False,
) -> None:
    """Write a model as one file that needs no torch, or a collection's codes for another program.

    A RUN (or a name of the hub) becomes FILE.onnx: backbone, head, preprocessing and fingerprint in one file, which
    `encode`, `index`, `search`, `serve` and `bitseek.load` take through onnxruntime. A FILE.onnx and --int8 become a
    smaller and faster one, whose codes differ a little: they cannot be mixed with others. A COLLECTION becomes an .npz,
    a .parquet table, or a .faiss binary index.

    Example: `bitseek export runs/my-run model.onnx`, `bitseek export my-photos codes.npz`

    Args:
        source: run folder, FILE.onnx, or collection.
        out: the file to write: .onnx for a model; .npz, .parquet or .faiss for a collection.
        int8: quantise the network to 8 bits.
        images: images, and folders of images, by which the ranges of int8 are found; some hundred are enough.
    """
    from bitseek.collection import Collection

    kind = out.suffix.lower()
    if Collection.exists(source):
        if kind not in COLLECTION_FORMS or int8 or images:
            raise BitseekError(
                f"{source} is a collection: it is written as {', '.join(COLLECTION_FORMS)}, without --int8 and "
                f"--images; got {out}"
            )
        with Collection.open(source) as opened:
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
    hasher = _export_int8(source, images or [], out) if int8 else _export(source, out)
    size = out.stat().st_size
    value = {"file": str(out), "bytes": size, "bits": hasher.bits, "fingerprint": hasher.fingerprint}
    show(value, f"{out}: {hasher.bits} bits, {size / 1e6:.1f} MB, fingerprint {hasher.fingerprint}", json)


def _export(source: str, out: Path) -> "OnnxHasher":
    """A model as an ONNX file, read back."""
    from bitseek.portable import OnnxHasher, export_onnx, load

    hasher = load(source)
    if isinstance(hasher, OnnxHasher):
        raise BitseekError(
            f"{source} is an ONNX model already; copy the file, or make it smaller: --int8 --images FOLDER"
        )
    note("tracing the network …")
    export_onnx(hasher, out)
    return OnnxHasher(out)


def _export_int8(source: str, images: list[Path], out: Path) -> "OnnxHasher":
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
            _export(source, whole)
        note(f"finding the ranges on {len(files)} images …")
        quantise(whole, files, out)
    return OnnxHasher(out)
