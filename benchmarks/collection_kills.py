"""A collection whose writer is killed again and again: is everything there that was reported, with the right code?

    python benchmarks/collection_kills.py                    # 1,000 kills, some minutes
    python benchmarks/collection_kills.py --kills 50

Each round changes some files of a folder, lets a process update the collection (or remove items from it), and kills it
(SIGKILL) at a random moment. The process reports each item when the call that wrote it has returned. Then the parent
opens the collection and compares: reported items are there, removed ones are not, every code is that of a direct
encoding, and `codes.bin` says the same as the items. In every fifth round the end of `codes.bin` is torn, cut, extended
or deleted before that. Another process searches all the while, and checks each of its hits. At the end the disk is full
again and again: a small tmpfs if it can be mounted, else a limit on the length of files.

The encoder is a random projection of 8 × 8 pixels, so that most of the time is spent writing.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import resource
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.collection.projection import Projection

from bitseek.codes import Codes, hamming_distances
from bitseek.collection import Collection, _update
from bitseek.collection._writer import Writer
from bitseek.errors import BitseekError

CONTENTS = 400
FILES = 300


def is_pending(folder: Path) -> bool:
    """Whether something is written that no reader sees yet."""
    with contextlib.closing(sqlite3.connect(folder / "items.sqlite", timeout=30)) as connection:
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        statement = "SELECT count(*) FROM items WHERE id >= ? OR removed_in > ?"
        return bool(connection.execute(statement, (meta["size"], meta["generation"])).fetchone()[0])


class Campaign:
    """One collection, one folder, and what must be true of them."""

    def __init__(self, place: Path, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.photos, self.folder = place / "photos", place / "collection"
        self.photos.mkdir()
        (self.photos / "kept.txt").touch()
        self.hasher = Projection(bits=64)
        self.contents = [picture(seed + i) for i in range(CONTENTS)]
        codes = self.hasher.encode([io.BytesIO(content) for content in self.contents]).hex()
        hashes = [hashlib.blake2b(content, digest_size=16).hexdigest() for content in self.contents]
        self.code = dict(zip(hashes, codes, strict=True))
        self.names = [f"{'abc'[i % 3]}/{i:03d}.png" for i in range(FILES)]
        for name in "abc":
            (self.photos / name).mkdir()
        Collection.create(self.folder, hasher=self.hasher).close()
        self.update_seconds = 0.3
        self.counts = dict.fromkeys(
            ("kills", "killed_in_an_update", "killed_in_a_removal", "ended_before_the_kill", "reported", "removed",
             "torn_code_files", "lost", "wrong_codes", "still_there", "errors"), 0
        )  # fmt: skip

    def change_files(self) -> None:
        """Write, rename and delete some files."""
        for name in self.random.sample(self.names, 40):
            path = self.photos / name
            if not path.exists() or self.random.random() < 0.5:
                path.write_bytes(self.random.choice(self.contents))
            elif self.random.random() < 0.5:
                path.replace(self.photos / self.random.choice(self.names))
            else:
                path.unlink()

    def round(self) -> None:
        """One kill, and what is there after it."""
        self.change_files()
        doomed = []
        if self.random.random() < 0.2:
            with Collection.open(self.folder) as collection:
                doomed = collection.alive[: self.random.randrange(1, 20)].tolist()
        began = time.monotonic()
        delay = self.random.random() * 1.3 * self.update_seconds
        reports, ended = run_and_kill(lambda tell: self.write(doomed, tell), delay)
        if ended:
            self.update_seconds = 0.8 * self.update_seconds + 0.2 * (time.monotonic() - began)
        self.counts["kills"] += not ended
        self.counts[
            "ended_before_the_kill" if ended else "killed_in_a_removal" if doomed else "killed_in_an_update"
        ] += 1
        if self.random.random() < 0.2:
            self.tear()
        self.check(reports)

    def write(self, doomed: list[int], tell) -> None:
        """What the process does that is killed: report each item when it is written for good."""
        add, remove = Writer.add, Collection.remove

        def reporting(writer, items, **options):
            ids = add(writer, items, **options)
            for id, item in zip(ids, items, strict=True):
                tell(f"added {id} {item.hash.hex()}")
            return ids

        Writer.add = reporting
        _update.MOST_ROWS = _update.BATCH = 8  # many commits
        with Collection.open(self.folder) as collection:
            if doomed:
                remove(collection, doomed)
                for id in doomed:
                    tell(f"removed {id}")
            else:
                collection.update(self.photos, hasher=self.hasher, threads=2)

    def opened(self) -> Collection:
        """The collection, once what the killed process left is published, by this process or by the reader."""
        collection = Collection.open(self.folder)
        while is_pending(self.folder):
            time.sleep(0.005)
            collection.refresh()
        collection.refresh()
        return collection

    def tear(self) -> None:
        """Damage the end of the file of codes, as a power failure may: no process that had it mapped survives that."""
        file = self.folder / "codes.bin"
        content = file.read_bytes() if file.exists() else b""
        cut = max(0, len(content) - self.random.randrange(1, 500))
        noise = self.random.randbytes(300)
        damaged = self.random.choice(
            [b"", content[:cut], content[:cut] + bytes(300), content + noise, content[:cut] + noise]
        )
        file.with_suffix(".torn").write_bytes(damaged)
        file.with_suffix(".torn").replace(file)
        self.counts["torn_code_files"] += 1

    def check(self, reports: list[str]) -> None:
        """Compare the collection with the reports and with direct encoding."""
        added = {int(id): key for kind, id, *rest in map(str.split, reports) if kind == "added" for key in rest}
        removed = {int(report.split()[1]) for report in reports if report.startswith("removed")}
        self.counts["reported"] += len(added)
        self.counts["removed"] += len(removed)
        with self.opened() as collection:
            items = {item.id: item for item in collection.items()}
            # Nobody changes a file meanwhile, so what was added is not replaced in the same update.
            self.counts["lost"] += sum(id not in items or items[id].hash != key for id, key in added.items())
            self.counts["still_there"] += sum(id in items for id in removed)
            self.counts["wrong_codes"] += sum(item.code != self.code[item.hash] for item in items.values())
            stored = collection.codes[np.array(sorted(items), np.int64)].hex()
            self.counts["wrong_codes"] += sum(
                code != items[id].code for id, code in zip(sorted(items), stored, strict=True)
            )

    def finish(self) -> None:
        """Complete the last update: then the collection is the folder, and nothing is damaged."""
        with Collection.open(self.folder) as collection:
            # Items that were removed by hand come back when their file changes.
            for path in self.photos.rglob("*.png"):
                os.utime(path, ns=(time.time_ns(), time.time_ns()))
            collection.update(self.photos, hasher=self.hasher)
            found = {os.path.relpath(item.path, self.photos): item.code for item in collection.items()}
            expected = {
                str(path.relative_to(self.photos)): self.code[
                    hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
                ]
                for path in self.photos.rglob("*.png")
            }
            self.counts["errors"] += found != expected
            verified = collection.verify(hasher=self.hasher)
            self.counts["errors"] += not verified.ok or any(
                finding.part != "thumbnails" for finding in verified.findings
            )
            self.counts["items_at_the_end"] = len(found)


def search_all_the_while(campaign: Campaign, tell) -> None:
    """A reader: each hit is an item at the distance that its code has."""
    searches = errors = 0
    generations = set()
    with Collection.open(campaign.folder) as collection:
        while select.select([sys.stdin], [], [], 0)[0] == []:
            try:
                collection.refresh()
                generations.add(collection.generation)
                query = Codes.from_hex([random.choice(list(campaign.code.values()))], 64)
                for hit in collection.search(query, k=5)[0]:
                    known = campaign.code[hit.item.hash] == hit.item.code
                    distance = hamming_distances(query, Codes.from_hex([hit.item.code], 64))[0, 0]
                    errors += not known or distance != hit.distance
                searches += 1
            except Exception as error:
                errors += 1
                tell(f"error {type(error).__name__}: {error}".replace("\n", " "))
            time.sleep(0.002)
    tell(f"searches {searches} errors {errors} generations {len(generations)}")


def run_and_kill(act, delay: float) -> tuple[list[str], bool]:
    """Let a process act and kill it after some seconds; what it told, and whether it had ended before."""
    process, reader = forked(act)
    told = bytearray()
    deadline = time.monotonic() + delay
    ended = False
    while (left := deadline - time.monotonic()) > 0 and not ended:
        if select.select([reader], [], [], left)[0]:
            part = os.read(reader, 1 << 16)
            told += part
            ended = not part
    os.kill(process, signal.SIGKILL)
    while part := os.read(reader, 1 << 16):
        told += part
    os.close(reader)
    _, status = os.waitpid(process, 0)
    lines = told.decode().split("\n")
    if any(line.startswith("failed") for line in lines) or (ended and status not in (0, signal.SIGKILL)):
        raise RuntimeError(f"the writer failed: {lines[-3:]}")
    return lines[:-1], ended and status == 0


def forked(act) -> tuple[int, int]:
    """A process that acts, and the end of a pipe from which one reads what it tells."""
    reader, end = os.pipe()
    process = os.fork()
    if process:
        os.close(end)
        return process, reader
    try:
        os.close(reader)
        act(lambda line: os.write(end, f"{line}\n".encode()))
        os._exit(0)
    except BaseException as error:
        os.write(end, f"failed {type(error).__name__}: {error}\n".replace("\n", " ").encode() + b"\n")
        os._exit(1)


def full_disk(rounds: int, seed: int = 0) -> dict[str, object]:
    """Updates on a disk that is full, each followed by one with room: nothing is lost, and a sentence says so."""
    place = Path(tempfile.mkdtemp(prefix="bitseek-full-"))
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, check=False
        ).returncode
        == 0
    )
    counts = {
        "by": "tmpfs" if mounted else "RLIMIT_FSIZE",
        "rounds": rounds,
        "sentences": 0,
        "lost": 0,
        "other_errors": 0,
    }
    try:
        campaign = Campaign(place, seed)
        if mounted:  # the photos elsewhere
            photos = Path(tempfile.mkdtemp(prefix="bitseek-photos-"))
            shutil.copytree(campaign.photos, photos, dirs_exist_ok=True)
            campaign.photos = photos
        for number in range(rounds):
            campaign.change_files()
            with Collection.open(campaign.folder) as collection:
                before = {item.id: item.code for item in collection.items()}
            reports, _ = run_and_kill(lambda tell, n=number: update_without_room(campaign, place, mounted, n, tell), 60)
            counts["sentences"] += sum(report.startswith("sentence") for report in reports)
            counts["other_errors"] += sum(report.startswith("other") for report in reports)
            (place / "filler").unlink(missing_ok=True)
            added = [report for report in reports if report.startswith("added")]
            campaign.check(added)
            with Collection.open(campaign.folder) as collection:
                kept = {item.id for item in collection.items()}
                if not added:  # nothing was replaced or removed either
                    counts["lost"] += len(before.keys() - kept)
                collection.update(campaign.photos, hasher=campaign.hasher)
        campaign.finish()
        counts["lost"] += campaign.counts["lost"]
        counts["wrong"] = campaign.counts["wrong_codes"] + campaign.counts["errors"]
        if mounted:
            shutil.rmtree(campaign.photos)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", place], check=True)
        shutil.rmtree(place)
    return counts


def update_without_room(campaign: Campaign, place: Path, mounted: bool, number: int, tell) -> None:
    """Update where there is room for a little, or for nothing."""
    room = (number * 7919) % 60_000
    if mounted:
        with (place / "filler").open("wb") as file, contextlib.suppress(OSError):
            free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
            file.write(bytes(max(0, free - room)))
    else:
        largest = max(path.stat().st_size for path in campaign.folder.rglob("*") if path.is_file())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + room, resource.RLIM_INFINITY))
    try:
        campaign.write([], tell)
    except BitseekError as error:
        tell(f"sentence {error}".replace("\n", " "))
    except Exception as error:
        tell(f"other {type(error).__name__} {error}".replace("\n", " "))


def picture(seed: int) -> bytes:
    """A PNG file of random pixels."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def run(kills: int, place: Path, seed: int = 0) -> dict[str, int]:
    """All rounds, with a reader beside them."""
    campaign = Campaign(place, seed)
    with Collection.open(campaign.folder) as collection:
        campaign.change_files()
        collection.update(campaign.photos, hasher=campaign.hasher)
    stop, end = os.pipe()

    def read(tell) -> None:
        sys.stdin = os.fdopen(stop)
        os.close(end)
        search_all_the_while(campaign, tell)

    process, reader = forked(read)
    try:
        while campaign.counts["kills"] < kills:
            campaign.round()
    finally:
        os.close(end)
        os.close(stop)
        told = bytearray()
        while part := os.read(reader, 1 << 16):
            told += part
        os.waitpid(process, 0)
        os.close(reader)
    lines = told.decode().splitlines()
    for line in lines[:-1]:
        print("reader:", line, file=sys.stderr)
    numbers = dict(zip(lines[-1].split()[::2], map(int, lines[-1].split()[1::2]), strict=True))
    campaign.finish()
    return campaign.counts | {f"reader_{name}": number for name, number in numbers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--full", type=int, default=50, help="updates on a full disk")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    from record import record

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        counts = run(arguments.kills, Path(place), arguments.seed)
    result = {"killing": counts, "full_disk": full_disk(arguments.full, arguments.seed)}
    result["seconds"] = round(time.monotonic() - began)
    print(json.dumps(result, indent=1))
    record("collection_kills", result)


if __name__ == "__main__":
    main()
