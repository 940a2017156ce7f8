"""A real service of real pictures, and a real browser in front of it."""

import shutil
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import warm
from PIL import Image
from tests.server.harness import projections

from bitseek.collection import Collection

HOSTILE = ["<img src=x onerror=alert(1)>.png", "new\nline\"quote'.png", "\u202egnp.exe.png", "=1+1,;.png"]
SERVE = """
import sys
from bitseek.server import Settings, serve
serve(sys.argv[1], Settings(port=int(sys.argv[2])), announce=lambda address: print(address, flush=True))
"""
PATIENCE = 120
"""Seconds after which something is taken to hang."""
TURN = """(place) => location.hash === place ? null : new Promise((done) => {
    addEventListener("hashchange", () => done(null), { once: true });  // after that of the page
    location.hash = place;
})"""


@pytest.fixture(scope="session")
def chromium():
    """Its program. What a page needs asks for it first, so that nothing is made for a page that nobody can open."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


@pytest.fixture(scope="module")
def browser(chromium):
    """Headless, with WebGL in software.

    One for each file, and not for the session: while Playwright runs, its loop is the one that runs in this thread,
    and no test could run another.
    """
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """300 handwritten digits in folders by digit, two of them twice, and four files with hostile names."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    root = tmp_path_factory.mktemp("data") / "digits"
    for number in range(300):
        file = root / str(digits.target[number]) / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray((digits.images[number] * 15.9).astype(np.uint8))
        grey.resize((64, 64), Image.Resampling.BICUBIC).save(file)
    for number in (3, 7):
        file = root / str(digits.target[number]) / f"{number:03d}.png"
        shutil.copy(file, file.with_name(f"copy of {number}.png"))
    (root / "<b>odd").mkdir()
    for number, name in enumerate(HOSTILE):
        Image.fromarray(np.full((40, 60, 3), 40 * number, np.uint8)).save(root / "<b>odd" / name)
    return root


@pytest.fixture(scope="session")
def digits_folder(pictures, tmp_path_factory):
    """The collection of them."""
    folder = tmp_path_factory.mktemp("collection") / "digits"
    hasher = projections(tmp_path_factory.mktemp("model") / "model.onnx")
    with Collection.create(folder, hasher=hasher) as collection:
        collection.update(pictures, hasher=hasher)
        collection.make_map()
    return folder


@contextmanager
def serving(folder, port=0):
    """The service in a process of its own; gives its address."""
    process = subprocess.Popen(
        [warm.python(), "-c", SERVE, str(folder), str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    log: list[str] = []
    reader = threading.Thread(target=lambda: log.extend(process.stderr), daemon=True)
    reader.start()
    try:
        address = process.stdout.readline().strip()
        if not address:
            process.wait(PATIENCE)
            raise RuntimeError("".join(log))
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE)
        reader.join(PATIENCE)
        process.stdout.close()
        process.stderr.close()


@pytest.fixture(scope="session")
def site(chromium, digits_folder):
    with serving(digits_folder) as address:
        yield address


class Watched:
    """A page, and everything that it must not do; `refused` are the statuses and errors of requests that may fail."""

    def __init__(self, browser, address, color_scheme="light", **options):
        self.address, self.scheme = address, color_scheme
        self.refused: list[int | str] = []
        self.wrong: list[str] = []
        self.asked: list[str] = []
        options |= {"color_scheme": color_scheme}
        self.context = browser.new_context(**{"viewport": {"width": 1100, "height": 800}} | options)
        self.context.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => console.error('CSP', event.violatedDirective))"
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self._asks)

    def _heard(self, message):
        texts = [f"status of {each}" if isinstance(each, int) else each for each in self.refused]
        expected = any(text in message.text for text in texts)
        if message.type == "error" and not expected:
            self.wrong.append(f"console: {message.text}")

    def _asks(self, request):
        self.asked.append(request.url)
        if urlsplit(request.url).scheme in ("http", "https", "ws", "wss") and not request.url.startswith(self.address):
            self.wrong.append(f"a request to {request.url}")

    def open(self, place=""):
        """Go to a view, from another or from elsewhere, and wait until it is there."""
        if self.page.url == "about:blank":
            self.page.goto(f"{self.address}/{place}")
        else:
            self.page.evaluate(TURN, place)
        self.ready()
        return self.page

    def leave(self):
        """Go elsewhere, as if it had never been here; what was wrong."""
        if self.page.url != "about:blank":
            self.page.evaluate("localStorage.clear()")
            self.page.goto("about:blank")
        self.page.emulate_media(color_scheme=self.scheme)
        self.page.mouse.move(0, 0)
        wrong = [*self.wrong]
        for seen in (self.refused, self.wrong, self.asked):
            seen.clear()
        return wrong

    def ready(self):
        self.page.wait_for_selector("#view:not([aria-busy])", state="attached")

    @property
    def place(self):
        """Where the page is, as itself knows it: the browser tells of that a moment later."""
        return self.page.evaluate("location.hash")

    def until(self, expression):
        """Wait until JavaScript gives something true. (Playwright's own waiting evaluates text, which is forbidden.)"""
        deadline = time.monotonic() + PATIENCE
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)

    def searches(self):
        """Requests for hits so far."""
        return [url for url in self.asked if "/similar" in url or "/api/search" in url]

    def answer(self, path):
        """What the service itself says, asked without the page."""
        response = self.context.request.get(f"{self.address}/api/{path}")
        assert response.ok, response.text()
        return response.json()


@pytest.fixture
def serve():
    """Serves a folder until the end of the test, longer than a page of `watched` is open; gives its address."""
    with ExitStack() as stack:
        yield lambda *folder_and_port: stack.enter_context(serving(*folder_and_port))


@pytest.fixture(scope="module")
def of_site(browser, site):
    """Pages of the site by their options: one for test after test, since a new one costs a second."""
    pages: dict[str, Watched] = {}

    def page(options):
        key = repr(options)
        if key not in pages:
            pages[key] = Watched(browser, site, **options)
        return pages[key]

    return page


@pytest.fixture
def watched(browser, of_site, serve):
    """Opens a page that is watched, of the site or another address, with options of a browser context."""
    opened: list[Watched] = []

    def start(address=None, **options):
        opened.append(Watched(browser, address, **options) if address else of_site(options))
        return opened[-1]

    yield start
    wrong = [each for one in opened for each in one.leave()]
    assert not wrong, wrong


@pytest.fixture
def at(watched):
    """One watched page of the site."""
    return watched()


def picture_of(pictures: Path, name: str) -> Path:
    return next(pictures.rglob(name))
