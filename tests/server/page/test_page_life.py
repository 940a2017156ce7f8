"""What goes on while the page is open: an update, a change, a server that is away."""

import os
import shutil
import threading

import pytest
from PIL import Image
from tests.server.harness import draw, projections
from tests.server.page.conftest import PATIENCE, serving

from bitseek.collection import Collection


@pytest.fixture
def few(tmp_path):
    """A collection of 30 pictures, in which something happens."""
    for number in range(30):
        draw(tmp_path / "photos" / f"{number:02d}.png", number)
    hasher = projections(tmp_path / "model.onnx")
    with Collection.create(tmp_path / "few", hasher=hasher) as collection:
        collection.update(tmp_path / "photos", hasher=hasher)
    return tmp_path / "few"


def test_an_update_shows_its_progress_and_then_that_there_is_something_new(watched, serve, few, tmp_path):
    for number in range(200, 320):
        draw(tmp_path / "photos" / "more" / f"{number}.png", number)
    goes_on = threading.Event()
    hasher = projections(tmp_path / "model.onnx")
    encode = hasher.logits_of
    hasher.logits_of = lambda squares: (goes_on.wait(PATIENCE), encode(squares))[1]  # encodes when it may

    def update():
        with Collection.open(few) as collection:
            collection.update(hasher=hasher)

    at = watched(serve(few))
    page = at.open("#/browse")
    assert page.locator(".grid > li").count() == 30
    thread = threading.Thread(target=update)
    thread.start()
    try:
        page.wait_for_selector("#progress:visible")
        assert " of " in page.locator("#progress .what").inner_text() or page.locator("#progress progress").count()
    finally:
        goes_on.set()
        thread.join()
    page.locator("#changed button").click()
    at.until("document.querySelector('.head .status')?.innerText === '150 images'")
    at.until("document.getElementById('changed').hidden && document.getElementById('progress').hidden")


def test_a_server_that_is_away_and_comes_back(watched, serve, few):
    with serving(few) as address:
        port = int(address.rsplit(":", 1)[1])
        at = watched(address)
        page = at.open("#/statistics")
        at.refused = ["ERR_CONNECTION", "Failed to load"]
    page.locator("#offline:visible").wait_for()
    assert "does not answer" in page.locator("#offline").inner_text()
    page.get_by_role("link", name="Browse").click()
    page.locator("main [role=alert]").wait_for()
    serve(few, port)
    page.wait_for_selector(".grid > li")  # by itself
    at.until("document.getElementById('offline').hidden")
    assert page.locator(".problem:visible").count() == 0


def test_a_collection_without_images(watched, serve, few, tmp_path):
    with Collection.open(few) as collection:
        collection.remove(collection.alive)
    at = watched(serve(few))
    for place in ("#/search", "#/browse", "#/duplicates", "#/map"):
        page = at.open(place)
        page.locator(".empty").wait_for()
        assert "no images" in page.locator(".empty").inner_text().lower()
    at.open("#/statistics")
    assert page.locator(".figures dd").first.inner_text() == "0"


def test_an_item_whose_file_is_gone_still_has_its_thumbnail(watched, serve, few, tmp_path):
    shutil.move(tmp_path / "photos", tmp_path / "elsewhere")
    at = watched(serve(few))
    page = at.open("#/item/3")
    page.wait_for_selector(".hits > li")
    at.until("document.querySelector('.asked-for').naturalWidth > 0")


def test_items_without_labels_have_no_filter(watched, serve, few):
    page = watched(serve(few)).open("#/browse")
    assert page.get_by_label("Label", exact=True).count() == 0 and page.locator(".grid .label").count() == 0
    assert "No image has a label" in watched(serve(few)).open("#/statistics").locator("main").inner_text()


def test_a_large_upload_is_refused_with_a_sentence(watched, serve, few, tmp_path):
    Image.frombytes("RGB", (2900, 2900), os.urandom(2900 * 2900 * 3)).save(tmp_path / "large.bmp")
    at = watched(serve(few))
    at.refused = [413, "ERR_CONNECTION_RESET"]
    page = at.open("#/search")
    page.set_input_files("input[type=file]", tmp_path / "large.bmp")
    page.locator("main [role=alert]").wait_for()
    assert page.locator("main [role=alert]").inner_text()
