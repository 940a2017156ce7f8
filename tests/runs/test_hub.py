"""Publishing a run on a hub of this machine: the client itself talks to a server that notes what it gets."""

import base64
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from bitseek.errors import RunError
from bitseek.models import BatchNormHead
from bitseek.runs import Hasher, RunConfig, load


class Hub(BaseHTTPRequestHandler):
    """Takes what is pushed; there is no model yet."""

    def do_HEAD(self):
        self.answer({}, 404)

    def do_GET(self):
        self.answer({"id": "org/toy", "sha": "0" * 40, "siblings": []})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "/preupload/" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.pushed[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer(
                {"commitUrl": f"{self.server.address}/org/toy/commit/1", "commitOid": "1", "pullRequestUrl": ""}
            )
        else:
            self.answer({"url": f"{self.server.address}/org/toy", "id": "1", "name": "org/toy"})

    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.address, server.pushed = f"http://127.0.0.1:{server.server_port}", {}
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def a_hasher():
    config = RunConfig(
        method="orthohash", recipe={}, bits=8, protocol="toy", checksum="0" * 64, classes=("a", "b"), items=4,
        features=3,
    )  # fmt: skip
    return Hasher(None, BatchNormHead(3, 8), 8, config=config)


def test_what_is_pushed_is_a_run_that_loads_again(hub, tmp_path):
    hasher = a_hasher()
    address = hasher.push_to_hub("org/toy", token="hf_x", private=True)
    assert str(address).startswith(hub.address)
    assert {"config.json", "model.safetensors", "README.md"} <= set(hub.pushed)
    card = hub.pushed["README.md"].decode()
    assert "library_name: bitseek" in card and "- image-retrieval" in card and "bitseek.load('org/toy')" in card
    for name, content in hub.pushed.items():
        (tmp_path / name).write_bytes(content)
    assert load(tmp_path).fingerprint == hasher.fingerprint
    hub.pushed.clear()
    assert hasher.save_pretrained(tmp_path / "again", push_to_hub=True, repo_id="org/toy", token="hf_x") is not None
    assert "model.safetensors" in hub.pushed


def test_what_comes_from_no_run_is_not_pushed(hub):
    with pytest.raises(RunError, match="no RunConfig"):
        Hasher(None, BatchNormHead(3, 8), 8).push_to_hub("org/toy", token="hf_x")
    assert hub.pushed == {}


def test_a_hasher_that_is_not_published_does_without_the_hubs_client():
    program = "import sys, bitseek.runs; print('huggingface_hub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
