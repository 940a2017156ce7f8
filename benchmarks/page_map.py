"""Frames a second of the page's map: 100,000 points, by WebGL and by the canvas without it.

    python benchmarks/page_map.py [--items 100000] [--seconds 8] [--no-record]

Builds a collection of clustered codes with labels (`Collection.add_codes`), makes its map, serves it, and opens the
page in headless Chromium. For so many seconds the view is zoomed in or out anew in every frame; the times between
frames are taken inside the page. Headless Chromium without a graphics card draws WebGL in software, on the same
processors as everything else: a browser on a desktop is quicker. The page itself takes WebGL only
where a graphics card draws it (`chosen`).
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from bitseek.codes import Codes
from bitseek.collection import Collection
from record import record
from search_data import clustered_words

BITS, CLUSTERS = 64, 20
SIZE = {"width": 1280, "height": 860}
SERVE = "import sys; from bitseek.server import Settings, serve; serve(sys.argv[1], Settings(port=0))"
FRAMES = """async (seconds) => {
    const canvas = document.querySelector(".stage canvas");
    const box = canvas.getBoundingClientRect();
    const send = (Kind, name, more) => canvas.dispatchEvent(new Kind(name, {
        bubbles: true, cancelable: true, clientY: box.top + box.height / 2, ...more }));
    const frame = () => new Promise(requestAnimationFrame);
    const times = [];
    const end = performance.now() + 1000 * seconds;
    for (let n = 0; performance.now() < end; n += 1) {
        const turn = n / 40;
        send(WheelEvent, "wheel", {
            deltaY: 18 * Math.sin(turn), clientX: box.left + box.width * (0.5 + 0.2 * Math.cos(turn / 3)) });
        times.push(await frame());
    }
    return times.slice(1).map((time, n) => time - times[n]);
}"""
GRAPHICS = """() => {
    const gl = document.createElement("canvas").getContext("webgl2");
    const more = gl?.getExtension("WEBGL_debug_renderer_info");
    return gl ? gl.getParameter(more ? more.UNMASKED_RENDERER_WEBGL : gl.RENDERER) : null;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--no-record", action="store_true")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"items": arguments.items, "bits": BITS, "window": SIZE}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "collection"
        result |= build(folder, arguments.items)
        command = [sys.executable, "-c", SERVE, str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            address = process.stdout.readline().strip()  # type: ignore[union-attr]
            result |= drawn(address, arguments.seconds)
        finally:
            process.terminate()
            process.communicate(timeout=60)
    print(result)
    if not arguments.no_record:
        record("page_map", result)


def build(folder: Path, n: int) -> dict[str, Any]:
    """A collection with its map; the seconds that the map took, and how it was made."""
    sys.path.append(str(Path(__file__).parents[1]))
    from tests.server.harness import projections

    hasher = projections(folder.parent / "model.onnx", bits=BITS)
    with Collection.create(folder, hasher=hasher) as collection:
        labels = [f"label {number}" for number in (np.arange(n) % CLUSTERS).tolist()]
        paths = [f"{number:08d}.jpg" for number in range(n)]
        codes = Codes(clustered_words(n, BITS, seed=0), BITS)
        collection.add_codes(codes, paths=paths, labels=labels, root=folder.parent)
        begin = time.perf_counter()
        kind = collection.make_map().kind
        return {"map_s": round(time.perf_counter() - begin, 1), "map": kind}


def drawn(address: str, seconds: float) -> dict[str, Any]:
    """Times between frames, by the way of drawing."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        page = browser.new_page(viewport=SIZE)
        found = {name: frames(page, f"{address}/#/map{query}", seconds) for name, query in
                 (("webgl", "?renderer=webgl"), ("canvas", "?renderer=canvas"), ("chosen", ""))}  # fmt: skip
        graphics, version = page.evaluate(GRAPHICS), browser.version
        browser.close()
    return {"browser": f"Chromium {version}", "graphics": graphics, **found}


def frames(page: Page, place: str, seconds: float) -> dict[str, Any]:
    """Of one way of drawing: when the points were there, and how long frames took, in milliseconds."""
    page.goto("about:blank")
    begin = time.perf_counter()
    page.goto(place)
    page.wait_for_selector(".stage[data-renderer]", timeout=120_000)
    ready = time.perf_counter() - begin
    page.wait_for_timeout(1000)
    gaps = np.array(page.evaluate(FRAMES, seconds))
    return {
        "renderer": page.get_attribute(".stage", "data-renderer"),
        "ready_s": round(ready, 2),
        "frames_per_s": round(float(1000 / gaps.mean()), 1),
        **{f"frame_ms_p{rank}": round(float(np.percentile(gaps, rank)), 1) for rank in (50, 95, 99)},
    }


if __name__ == "__main__":
    main()
