"""The command for everybody: open, from a folder of images to its page."""

import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bitseek.cli._arguments import COMPUTE, NETWORK, Compute, Flag, Json, Network
from bitseek.cli._collection import in_words, loader, note_left_out
from bitseek.cli._console import note, show, updating
from bitseek.cli._fit import fitted_to
from bitseek.cli._made_with import check
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.collection import Progress

BACKBONE, BITS = "mobilenetv2_100", 64
HIDDEN = ".bitseek"
SUPERVISED = "auto"
PORT = 8765
Method = Annotated[
    tuple[str, ...] | None,
    Parameter(negative="", negative_iterable="", consume_multiple=(0, 1), metavar="[METHOD]"),
]


def open_folder(
    folder: str,
    /,
    *,
    model: str | None = None,
    backbone: str | None = None,
    network: Network = NETWORK,
    bits: int | None = None,
    seed: int | None = None,
    supervised: Method = None,
    collection: str | None = None,
    features: Flag = False,
    port: int | None = None,
    browser: bool = True,
    compute: Compute = COMPUTE,
    json: Json = False,
) -> None:
    """Make a folder of images searchable and open its page in the browser; nothing else has to exist.

    The first time a hasher is fitted to a sample of the folder, unless --model names one: a pretrained network, whose
    features need no labels, and the method that keeps most of their neighbours. Then, and every time, only images that
    are new or changed are encoded. Nothing is uploaded, and no image is touched; what bitseek keeps is in the hidden
    folder FOLDER/.bitseek, or in --collection DIR. Ctrl-C ends it; what is done is kept.

    A collection that is there keeps its model: the same options open it again, and others are refused.

    Example: `bitseek open ~/Pictures`, or without a network `bitseek open ~/Pictures --weights FILE`

    Args:
        folder: the images; or a collection, which is brought up to date and opened.
        model: run folder, FILE.onnx or org/name of the hub, instead of fitting one.
        backbone: the pretrained network, by default mobilenetv2_100 (14 MB, quick without a GPU); see
            `bitseek backbones`.
        bits: length of the codes; 64 by default.
        seed: of the sample and of the fit; 0 by default.
        supervised: train the head on the labels (those of labels.csv, or the sub-folders), with this method; by default
            auto, which tries many for about a minute. The collection is then a second one, in FOLDER/.bitseek-METHOD.
        collection: folder of the collection.
        features: keep the features too, for searches that rank by them.
        port: of the page; by default 8765, or a free one if that is taken.
        browser: open the page in the browser, where there is a display.
    """
    from bitseek.collection import Collection

    source, own = _in_folders(folder, collection)
    method = None if supervised is None else supervised[0] if supervised else SUPERVISED
    if method is not None:
        from bitseek.methods import method_class
        from bitseek.training import AUTO

        if method != AUTO:
            method_class(method)  # its name is part of that of a folder
    options = _options(model, method, bits, backbone, seed, network, features)
    is_collection = Collection.exists(source)
    if not is_collection and not source.is_dir():
        raise BitseekError(f"there is no folder {source}")
    place = source if is_collection else own or source / (HIDDEN if method is None else f"{HIDDEN}-{method}")
    hasher: Any = None
    facts: dict[str, Any] = {"collection": str(place)}
    if Collection.exists(place):
        if is_collection and own is not None:
            raise BitseekError(f"{place} is a collection itself, so there is no use for --collection; leave it out")
        check(place, options, None if model is None else loader(model, compute))
    else:
        with _new(place, source):
            if model is not None:
                hasher = loader(model, compute)()
            else:
                usual: dict[str, Any] = {"--bits": BITS, "--backbone": BACKBONE, "--seed": 0}
                options = usual | options
                fitted = fitted_to(
                    source, options["--backbone"], network, options["--bits"], options["--seed"], method, compute
                )
                hasher = fitted.hasher
                facts |= {"method": fitted.method, "candidates": [each._asdict() for each in fitted.candidates]}
            Collection.create(place, hasher=hasher, features=features, made_with=options).close()
            note(f"what bitseek keeps of {source} is in {place}; delete that folder to forget it")
    work = Work(place, None if is_collection else [source], hasher, compute)
    _serve(work, port, browser, facts, json)


def _options(
    model: str | None,
    method: str | None,
    bits: int | None,
    backbone: str | None,
    seed: int | None,
    network: Network,
    features: bool,
) -> dict[str, Any]:
    """What was given of how a new collection is made, by the names of the options.

    Raises:
        BitseekError: a model, and how to train one.
    """
    given: dict[str, Any] = {
        "--supervised": method,
        "--bits": bits,
        "--backbone": backbone,
        "--seed": seed,
        "--weights": None if network.weights == NETWORK.weights else _whole(network.weights),
        "--size": network.size,
        "--backbone-set": list(network.backbone_set) or None,
    }
    training = {name: value for name, value in given.items() if value is not None}
    if model is not None and training:
        raise BitseekError(
            f"--model is a hasher that is trained already, so there is nothing to train, and {', '.join(training)} "
            "would have no effect; leave out one or the other"
        )
    return training | ({} if model is None else {"--model": _whole(model)}) | ({"--features": True} if features else {})


def _whole(name: str) -> str:
    """The absolute path of what is there; another name as it is."""
    return os.path.realpath(name) if os.path.exists(name) else name  # noqa: PTH110


def _in_folders(folder: str, collection: str | None) -> tuple[Path, Path | None]:
    """The images, or their collection, and the folder for a new one; both on this machine.

    Raises:
        BitseekError: one of them is the address of an engine.
    """
    from bitseek.engines import is_address, without_password

    for given in (folder, collection or ""):
        if is_address(given):
            name = without_password(given)
            raise BitseekError(
                f"open keeps its collection in a folder, and {name} is an address: write to it by bitseek index "
                f"'{name}' FOLDER --model RUN, and show it by bitseek serve '{name}'"
            )
    return Path(folder), None if collection is None else Path(collection)


@contextmanager
def _new(place: Path, folder: Path) -> Iterator[None]:
    """Make the folder of a new collection; if the block fails, it is removed again unless something is in it.

    Raises:
        BitseekError: it holds something else, or nothing can be written there.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
        names = {entry.name for entry in place.iterdir()}
        if names and ".making" not in names:  # with that it is one that was killed while it was made
            raise BitseekError(f"{place} exists and is not a collection; give another folder: --collection DIR")
        if not os.access(place, os.W_OK):
            raise PermissionError(None, "no permission to write")
    except OSError as error:
        raise BitseekError(
            f"nothing can be written to {place} ({error.strerror or error}); say where the collection of {folder} "
            "shall be: --collection DIR"
        ) from error
    try:
        yield
    except BaseException:
        with suppress(OSError):
            place.rmdir()
        raise


class Work(threading.Thread):
    """An update that runs beside the service of the same collection.

    Args:
        place: folder of the collection.
        folders: what to bring up to date; None for all that it knows.
        hasher: that of the collection, if it is at hand.
        compute: how many threads decode.
    """

    def __init__(self, place: Path, folders: list[Path] | None, hasher: Any, compute: Compute) -> None:
        super().__init__(name="update", daemon=True)
        self.place, self.folders, self.hasher, self.compute = place, folders, hasher, compute
        self.stopped = False
        self.error: BaseException | None = None
        self._halt = threading.Event()

    def run(self) -> None:
        """Update, and say what was done."""
        from bitseek.collection import Collection

        try:
            with Collection.open(self.place) as opened:
                with updating() as progress:

                    def step(now: "Progress") -> None:
                        progress(now)
                        if self._halt.is_set():
                            raise KeyboardInterrupt

                    hasher = self.hasher or partial(opened.encoder, self.compute.device, self.compute.threads)
                    done = opened.update(self.folders, hasher=hasher, threads=self.compute.threads, progress=step)
                self.hasher = None
                note(f"{self.place}: {in_words(len(opened), done)}")
                note_left_out(done)
        except KeyboardInterrupt:
            self.stopped = True
        except BitseekError as error:
            self.error = error
            note(f"the update has ended: {error}")
        except BaseException as error:
            self.error = error

    def halt(self) -> None:
        """Stop after the images that are being encoded, and wait; what is done is published.

        Raises:
            KeyboardInterrupt: it was not finished.
            BaseException: what it failed by.
        """
        self._halt.set()
        if self.ident is not None:  # it was started
            self.join()
        if self.error is not None:
            raise self.error
        if self.stopped:
            raise KeyboardInterrupt(
                f"stopped; what was done so far is kept in {self.place}, and the same command goes on from there"
            )


def _serve(work: Work, port: int | None, browser: bool, facts: dict[str, Any], json: bool) -> None:
    """Serve a collection until Ctrl-C, while it is being updated."""
    from bitseek.server import Settings, serve

    logging.disable(logging.INFO)  # the log of a service is for those who run one

    def announce(address: str) -> None:
        show({**facts, "address": address}, f"{address}  (Ctrl-C ends it)", json)
        sys.stdout.flush()
        work.start()
        if browser and has_display():
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    try:
        serve(work.place, Settings(port=_usual_or_free() if port is None else port), announce=announce)
    finally:
        work.halt()


def _usual_or_free() -> int:
    """The usual port; 0, which is any that is free, if something else listens to it."""
    with socket.socket() as attempt:
        try:
            if os.name == "posix":
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT


def has_display() -> bool:
    """Whether a browser could show something here."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
