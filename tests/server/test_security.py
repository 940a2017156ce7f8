"""What nobody may reach or do, each line of docs/security.md that is not tested beside its module."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import warm
from PIL import Image, PngImagePlugin
from starlette.testclient import TestClient
from tests.server.harness import SECRET, TOKEN, draw

from bitseek.collection import Collection
from bitseek.server import Settings, create_app

CHECKOUT = Path(__file__).resolve().parents[2]
OUTSIDE = [
    "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "....//secret.txt", "..\\secret.txt", "%5c..%5csecret.txt",
    "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "..%00.html", "main.js%00", "..;/secret.txt", "~/.bashrc", "C:/a",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("place", ["/static/", "/", "/api/items/", "/api/items/0/", "/api/items/0/image/"])
def test_no_path_leads_out_of_the_page_and_the_items(standing, place, path):
    answer = standing.get(place + path)  # beside whose collection lies secret.txt
    assert answer.status_code in (404, 422) and SECRET not in answer.text and "root:" not in answer.text


def test_the_files_of_the_package_are_not_served(standing):
    for name in ("_app.py", "__init__.py", "../_app.py", "..", "."):
        assert standing.get(f"/static/{name}").status_code in (404, 200 if name in ("..", ".") else 404)
        assert "create_app" not in standing.get(f"/static/{name}").text


def swap(file, target):
    file.unlink()
    file.symlink_to(target)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(client, collection, photos, tmp_path):
    secret = draw(tmp_path / "private.png", 7)
    file = photos / "cats" / "02.png"
    item = collection.find(file)
    stamp = file.stat()
    swap(file, secret)
    os.utime(secret, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    secret.write_bytes(secret.read_bytes()[: stamp.st_size].ljust(stamp.st_size, b"\0"))
    os.utime(secret, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    answer = client.get(f"/api/items/{item.id}/image")
    assert answer.status_code == 404 and str(tmp_path) not in answer.text


def test_a_folder_that_became_a_link_is_not_followed(client, collection, photos, tmp_path):
    item = collection.find(photos / "cats" / "04.png")
    shutil.move(photos / "cats", tmp_path / "elsewhere")
    (photos / "cats").symlink_to(tmp_path / "elsewhere")
    assert client.get(f"/api/items/{item.id}/image").status_code == 404


def test_a_file_that_is_another_one_by_now_is_not_sent(client, collection, photos):
    file = photos / "dogs" / "03.png"
    item = collection.find(file)
    file.write_bytes(SECRET.encode())
    answer = client.get(f"/api/items/{item.id}/image")
    assert answer.status_code == 404 and SECRET not in answer.text
    file.unlink()
    assert client.get(f"/api/items/{item.id}/image").status_code == 404
    os.mkfifo(file)  # opening one would wait for ever
    assert client.get(f"/api/items/{item.id}/image").status_code == 404


@pytest.mark.parametrize("name", [b"line\nbreak.png", b"quote\"'<script>.png", b"caf\xe9.png", b"percent%2f..png"])
def test_names_are_bytes_and_never_markup_or_headers(tmp_path, hasher, name):
    file = draw(tmp_path / "root" / "plain.png", 3)
    file.rename(file.with_name(os.fsdecode(name)))
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update(tmp_path / "root", hasher=hasher)
        with TestClient(create_app(collection), base_url="http://localhost") as client:
            answer = client.get("/api/items")
            (item,) = answer.json()["items"]
            assert item["name"].isprintable() and answer.headers["content-type"] == "application/json"
            image = client.get(f"/api/items/{item['id']}/image")
            assert image.status_code == 200 and image.headers["content-type"] == "image/png"
            assert not any(b"script" in value or b"\n" in value for _, value in image.headers.raw)


def test_no_answer_tells_where_files_lie(client, folder, photos, tmp_path, bearer):
    """Answers and errors of every route, with and without the collection's files."""
    paths = ["/api/items", "/api/items/0", "/api/items/0/similar", "/api/statistics", "/api/duplicates?radius=70",
             "/api/progress", "/api/openapi.json", "/metrics", "/api/map", "/api/search?code=00", "/api/items/0/image",
             "/api/items/99", "/api/health", "/", "/api/items/0/thumbnail"]  # fmt: skip
    places = [str(tmp_path), str(CHECKOUT), str(Path.home()), "/tmp", "site-packages"]

    def look():
        for path in paths:
            answer = client.get(path)
            assert answer.status_code < 500, path
            text = answer.text + str(answer.headers)
            assert not any(place in text for place in places), path
        for name, content in (("photo", b"not an image"), ("image", b"%PDF-1.7"), ("image", b"\xff\xd8\xff\xe0")):
            answer = client.post("/api/search", files={name: (f"{tmp_path}/x.png", content)})
            assert answer.status_code < 500 and not any(place in answer.text for place in places)
        for answer in (client.post("/api/update", headers=bearer), client.delete("/api/items/98", headers=bearer)):
            assert not any(place in answer.text for place in places)

    look()
    shutil.rmtree(photos)
    look()


def test_a_picture_that_is_also_a_page_is_sent_as_a_picture_in_a_sandbox(tmp_path, hasher):
    """A polyglot: valid GIF and PNG files with a script in a comment, and with a name that says html."""
    root = tmp_path / "root"
    root.mkdir()
    script = "<html><script>fetch('/api/items')</script>"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", script)
    Image.new("RGB", (9, 9)).save(root / "a.html.png", pnginfo=text)
    Image.new("P", (9, 9)).save(root / "b.gif", comment=script.encode())
    (root / "c.jpg").write_bytes((root / "b.gif").read_bytes())  # a name that lies
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update(root, hasher=hasher)
        assert len(collection) == 3
        with TestClient(create_app(collection), base_url="http://localhost") as client:
            for item in client.get("/api/items").json()["items"]:
                answer = client.get(f"/api/items/{item['id']}/image")
                assert script.encode() in answer.content
                kind = "image/png" if item["name"].endswith("png") else "image/gif"
                assert answer.headers["content-type"] == kind
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "sandbox" in answer.headers["content-security-policy"]


def test_a_file_that_is_of_no_known_kind_is_only_downloaded(tmp_path, hasher):
    """`find_images` takes formats that browsers should not be shown as such."""
    draw(tmp_path / "root" / "a.tga", 1)
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update(tmp_path / "root", hasher=hasher)
        with TestClient(create_app(collection), base_url="http://localhost") as client:
            answer = client.get("/api/items/0/image")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="item-0"'


def test_uploads_never_touch_the_disk(folder, photos, tmp_path):
    """A service in a process of its own, in which every opening of a file for writing is an error."""
    program = f"""
import io, sys
from starlette.testclient import TestClient
from bitseek.collection import Collection
from bitseek.server import Settings, create_app
import numpy as np
from PIL import Image
noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
buffer = io.BytesIO(); Image.fromarray(noise).save(buffer, "PNG")
assert len(buffer.getvalue()) > 6_000_000
written = []
def audit(event, args):
    if event == "open" and args[0] is not None and not isinstance(args[0], int):
        mode, flags = args[1], args[2]
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & 3):
            written.append(str(args[0]))
    if event.startswith(("tempfile.", "os.link", "os.rename", "os.mkdir")):
        written.append(event)
with Collection.open({str(folder)!r}) as collection:
    with TestClient(create_app(collection, Settings(rate=None)), base_url="http://localhost") as client:
        image = buffer.getvalue()
        assert client.post("/api/search", files={{"image": image}}).status_code == 200
        sys.addaudithook(audit)
        for content in (image, image[:3_000_000], b"no image" * 500_000):
            client.post("/api/search", files={{"image": content}})
print(written)
"""
    done = subprocess.run([warm.python(), "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "[]"


def test_nothing_can_be_changed_without_a_token(collection, tmp_path):
    (tmp_path / "added").mkdir(exist_ok=True)
    with TestClient(create_app(collection, Settings(add_to=tmp_path / "added")), base_url="http://localhost") as client:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {TOKEN}"}):
            assert client.post("/api/update", headers=headers).status_code == 403
            assert client.delete("/api/items/0", headers=headers).status_code == 403
            assert client.post("/api/images", files={"image": b"a"}, headers=headers).status_code == 403
    assert len(collection) == 24 and not list((tmp_path / "added").iterdir())


@pytest.mark.parametrize("shown", [None, "Bearer wrong-token-of-the-same-len0", "Bearer", f"Basic {TOKEN}", TOKEN])
def test_nothing_can_be_changed_with_another_token(client, collection, shown):
    headers = {} if shown is None else {"Authorization": shown}
    for answer in (
        client.post("/api/update", headers=headers),
        client.delete("/api/items/0", headers=headers),
        client.post("/api/images", files={"image": b"a"}, headers=headers),
    ):
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert client.get(f"/api/items?token={TOKEN}").status_code in (200, 422) and len(collection) == 24


def test_the_token_is_compared_in_constant_time(client, bearer, monkeypatch):
    import hmac

    seen = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: seen.append((a, b)) or compare(a, b))
    client.delete("/api/items/99", headers={"Authorization": "Bearer wrong"})
    client.delete("/api/items/99", headers=bearer)
    assert seen == [(b"wrong", TOKEN.encode()), (TOKEN.encode(), TOKEN.encode())]


def test_nothing_is_unpickled_and_no_shell_is_started():
    """Not by the service, nor by the collection below it."""
    forbidden = re.compile(r"\b(pickle|marshal|shelve|subprocess|os\.system|popen|eval|exec)\b(?!_)", re.IGNORECASE)
    for package in ("server", "collection"):
        for file in (CHECKOUT / "src" / "bitseek" / package).rglob("*.py"):
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                code = line.partition("#")[0]
                assert not (forbidden.search(code) and not code.strip().startswith(('"', "'"))), (
                    f"{file}:{number}: {line}"
                )


def test_the_default_address_is_this_machine_alone():
    assert Settings().host == "127.0.0.1"


def test_every_test_named_in_the_threat_model_exists():
    text = (CHECKOUT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    names = re.findall(r"`(test_\w+)`", text)
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (CHECKOUT / "tests").rglob("test_*.py"))
    assert len(rows) >= 25 and all(re.search(r"`test_\w+`", row) for row in rows)
    assert [name for name in names if f"def {name}(" not in tests] == []
