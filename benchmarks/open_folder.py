"""From a folder of photos to a page that answers, and what the single commands take from a cold start.

    BITSEEK_DATA=… python benchmarks/open_folder.py --weights mobilenetv2_100.safetensors \\
        --set pad_type=same mean=0.5 std=0.5

1. Photos are made: JPEGs of 1 to 3 megapixels from CIFAR-10 images, enlarged with a gradient of light and grain, and a
   tenth of them noise.
2. `bitseek open FOLDER --weights FILE --no-browser` in a process of its own: seconds until the page can be loaded,
   until all photos are published, and until a search by a photo that is uploaded is answered; then the same once more,
   with nothing changed.
3. Whole processes, the median of some: `bitseek search` through ONNX, `bitseek index` with nothing changed, `--help`.

The settings that belong to the weights (--set) are written beside a link to the file, where bitseek reads them.
"""

import argparse
import json
import os
import queue
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from pathlib import Path

import numpy as np
from PIL import Image

from bitseek.data import load_protocol
from record import record, short

SIZES = ((1000, 1000), (1000, 1500), (1200, 1600), (1500, 2000))
BITSEEK = [str(Path(sys.executable).with_name("bitseek"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--set", nargs="*", default=[], help="settings that belong to the weights, NAME=VALUE")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="cold starts of each command")
    parser.add_argument("--out", type=Path, help="write the JSON here, and not into benchmarks/results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / arguments.weights.name
        weights.symlink_to(arguments.weights.resolve())
        if arguments.set:
            settings = {key: _value(value) for key, _, value in (pair.partition("=") for pair in arguments.set)}
            weights.with_name(f"{weights.name}.json").write_text(json.dumps(settings), encoding="utf-8")
        photos = folder / "photos"
        began = time.perf_counter()
        megapixels = make_photos(photos, arguments.photos)
        print(f"{arguments.photos} photos made in {time.perf_counter() - began:.0f} s")
        command = ["open", str(photos), "--weights", str(weights), "--no-browser", "--port", "0"]
        result = {
            "photos": arguments.photos,
            "megapixels": round(megapixels, 1),
            "processors": len(os.sched_getaffinity(0)),
            "command": " ".join(["bitseek", *map(short, command)]),
            "first": opened(command, photos, arguments.photos),
            "again": opened(command, photos, arguments.photos),
            "cold": cold(folder, photos, arguments.rounds),
        }
    print(json.dumps(result, indent=1))
    if arguments.out is None:
        record("open_folder", result)
    else:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def make_photos(folder: Path, count: int) -> float:
    """Write the photos; returns their megapixels in all."""
    cifar = load_protocol("cifar10-1").pool.images.array
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(cifar), count, replace=False)
    grain = rng.integers(-12, 13, (2200, 2200, 1), np.int16)
    total = 0
    for i, number in enumerate(chosen):
        height, width = SIZES[rng.integers(len(SIZES))]
        top, left = rng.integers(0, 200, 2)
        total += height * width
        if i % 10 == 9:
            pixels = rng.integers(0, 256, (height // 4, width // 4, 3), np.uint8)
            image = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
        else:
            large = Image.fromarray(cifar[number]).resize((width, height), Image.Resampling.BICUBIC)
            light = np.linspace(*rng.integers(-40, 40, 2), width).astype(np.int16)[None, :, None]
            noisy = np.asarray(large) + light + grain[top : top + height, left : left + width]
            image = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
        place = folder / f"{i // 100:02d}"
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{i:05d}.jpg", quality=90)
    return total / 1e6


def opened(command: list[str], photos: Path, count: int) -> dict[str, float | str]:
    """Seconds from the start of `bitseek open` to each thing that its user waits for."""
    began = time.perf_counter()
    process = subprocess.Popen([*BITSEEK, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said: queue.Queue[str] = queue.Queue()
    notes: list[str] = []
    threading.Thread(target=lambda: [said.put(line) for line in process.stdout], daemon=True).start()
    threading.Thread(target=lambda: notes.extend(process.stderr), daemon=True).start()
    seconds: dict[str, float | str] = {}
    try:
        address = None
        while address is None:
            try:
                found = re.search(r"http://[\d.]+:\d+", said.get(timeout=1))
                address = found and found[0]
            except queue.Empty:
                if process.poll() is not None:
                    raise SystemExit("".join(notes)) from None
        fetched(f"{address}/")
        seconds["page_loads"] = elapsed(began)
        while json.loads(fetched(f"{address}/api/health"))["items"] < count:
            time.sleep(0.1)
        seconds["all_published"] = elapsed(began)
        answer = json.loads(uploaded(f"{address}/api/search?k=10", next(photos.rglob("*.jpg"))))
        seconds["search_answers"] = elapsed(began)
        assert len(answer["hits"]) == 10 and answer["hits"][0]["distance"] == 0, answer
        started = time.perf_counter()
        uploaded(f"{address}/api/search?k=10", next(photos.rglob("*.jpg")))
        seconds["another_search"] = elapsed(started)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    seconds["said"] = next((line.strip() for line in notes if " is taken" in line), "")
    return seconds


def cold(folder: Path, photos: Path, rounds: int) -> dict[str, float]:
    """Median seconds of whole processes."""
    collection, model = photos / ".bitseek", folder / "model.onnx"
    run(["export", str(collection / "model"), str(model)])
    image = str(next(photos.rglob("*.jpg")))
    commands = {
        "search_through_onnx": ["search", str(collection), image, "--model", str(model), "-k", "10"],
        "search_like_an_item": ["search", str(collection), "--like", image, "-k", "10"],
        "index_nothing_changed": ["index", str(collection)],
        "help": ["--help"],
    }
    return {name: statistics.median(run(command) for _ in range(rounds)) for name, command in commands.items()}


def run(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([*BITSEEK, *command], check=True, stdout=subprocess.DEVNULL)
    return elapsed(began)


def fetched(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()


def uploaded(address: str, image: Path) -> bytes:
    """The answer to an image that is sent as a form sends it."""
    mark = uuid.uuid4().hex
    head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + image.read_bytes() + f"\r\n--{mark}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    with urllib.request.urlopen(urllib.request.Request(address, body, kind), timeout=60) as answer:
        return answer.read()


def elapsed(began: float) -> float:
    return round(time.perf_counter() - began, 2)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
