"""The map: a click, a key, the wheel, the labels; by WebGL and without it."""

import io

import numpy as np
import pytest
from PIL import Image

RECORD = np.dtype([("x", "<f4"), ("y", "<f4"), ("id", "<i4"), ("label", "<i4")])


@pytest.fixture
def points(at):
    response = at.context.request.get(f"{at.address}/api/map/points")
    assert response.ok
    return np.frombuffer(response.body(), RECORD)


def values(place):
    """The numbers in the address of a map."""
    return {name: float(value) for name, value in (pair.split("=") for pair in place.split("?")[1].split("&"))}


def listed(page):
    """The links of the list beside the map."""
    links = page.locator(".map .side .card a")
    return links.evaluate_all("(links) => links.map((link) => link.getAttribute('href'))")


def on_screen(page, points):
    """Pixels of all points in the first view, where the square fills 0.94 of the shorter side."""
    box = page.locator(".stage canvas").bounding_box()
    scale = 0.94 * min(box["width"], box["height"])
    x = box["x"] + box["width"] / 2 + (points["x"] - 0.5) * scale
    y = box["y"] + box["height"] / 2 + (points["y"] - 0.5) * scale
    return np.stack([x, y], axis=1).astype(float)


def settle(page):
    """Wait until the view has come to rest, and what depends on it is there."""
    page.wait_for_timeout(100)
    page.wait_for_selector(".stage[data-still]")


def lonely(places):
    """The point that is furthest from all others."""
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return int(apart.min(axis=1).argmax())


def test_every_item_is_on_the_map(at, points):
    assert sorted(points["id"].tolist()) == [item["id"] for item in at.answer("items?limit=1000")["items"]]
    page = at.open("#/map")
    assert "306 points" in page.locator(".map .status").inner_text()


@pytest.mark.parametrize("renderer", ["webgl", "canvas"])
def test_a_click_on_a_point_shows_what_is_similar(at, points, renderer):
    page = at.open(f"#/map?renderer={renderer}")
    assert page.locator(".stage").get_attribute("data-renderer").lower() == renderer
    settle(page)
    places = on_screen(page, points)
    chosen = lonely(places)
    page.mouse.move(*places[chosen].tolist())
    page.wait_for_selector(".tip:visible")
    item = at.answer(f"items/{points['id'][chosen]}")
    assert item["name"] in page.locator(".tip").inner_text()
    page.mouse.click(*places[chosen].tolist())
    page.wait_for_selector(".hits > li")
    assert at.place == f"#/item/{item['id']}"


@pytest.mark.parametrize("renderer", ["webgl", "canvas"])
def test_points_are_drawn_where_they_are_in_the_colour_of_their_label(at, points, renderer):
    page = at.open(f"#/map?renderer={renderer}")
    settle(page)
    page.evaluate("document.querySelector('.pictures').hidden = true")
    chosen = lonely(on_screen(page, points))
    x, y = on_screen(page, points)[chosen].tolist()
    shot = page.screenshot(clip={"x": x - 6, "y": y - 6, "width": 13, "height": 13})
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    number = int(points["label"][chosen])
    colour = page.evaluate(
        "async (n) => { const c = await import('/static/colours.js'); return n < 0 ? c.UNLABELLED : c.colour(n); }",
        number,
    )
    ground = pixels[0, 0]
    middle = pixels[6, 6]
    opacity = 215 / 255
    assert np.abs(middle - (np.array(colour) * opacity + ground * (1 - opacity))).max() < 12
    assert np.abs(ground - middle).max() > 30


def test_the_wheel_zooms_a_drag_moves_and_the_address_remembers(at, points):
    page = at.open("#/map")
    settle(page)
    box = page.locator(".stage canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.wheel(0, -400)
    at.until("location.hash.includes('zoom=')")
    settle(page)
    before = values(at.place)
    assert before["zoom"] > 1.2 and before["x"] == pytest.approx(0.5, abs=1e-3)
    page.mouse.down()
    page.mouse.move(middle[0] - 100, middle[1], steps=5)
    page.mouse.up()
    settle(page)
    assert at.place.startswith("#/map?")  # a drag is no click
    moved = values(at.place)
    scale = before["zoom"] * min(box["width"], box["height"])
    assert moved["x"] - before["x"] == pytest.approx(100 / scale, abs=2e-3)
    near = listed(page)
    centre = np.array([moved["x"], moved["y"]])
    apart = np.linalg.norm(np.stack([points["x"], points["y"]], axis=1) - centre, axis=1)
    assert [int(link.rsplit("/", 1)[1]) for link in near] == points["id"][np.argsort(apart)[:8]].tolist()
    page.reload()
    at.ready()
    settle(page)
    assert listed(page) == near


def test_the_map_is_used_by_keys_alone(at, points):
    page = at.open("#/map")
    page.locator(".stage canvas").focus()
    for key in ["+", "+", "+", "ArrowRight", "ArrowDown"]:
        page.keyboard.press(key)
    settle(page)
    at.until("document.getElementById('live').innerText.startsWith('At the centre: ')")
    nearest = listed(page)[0]
    page.keyboard.press("Enter")
    page.wait_for_selector(".hits > li")
    assert at.place == nearest
    page.go_back()
    at.ready()
    settle(page)
    assert listed(page)[0] == nearest
    page.locator(".stage canvas").focus()
    page.keyboard.press("0")
    at.until("location.hash === '#/map'")


def test_chosen_labels_stand_out(at, points):
    page = at.open("#/map")
    labels = {name: number for number, name in enumerate(at.answer("statistics")["labels"])}
    button = page.locator('.legend button:has(bdi:text-is("7"))')
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    settle(page)
    ids = [int(link.rsplit("/", 1)[1]) for link in listed(page)]
    assert len(ids) == 8 and all(at.answer(f"items/{id}")["label"] == "7" for id in ids)
    assert len(labels) == page.locator(".legend button").count()


def test_pictures_appear_where_there_is_room(at, points):
    page = at.open("#/map")
    settle(page)
    rectangles = "(all) => all.map((one) => one.getBoundingClientRect()).map(({ x, y }) => ({ x, y }))"
    boxes = page.locator(".pictures img").evaluate_all(rectangles)
    assert 10 < len(boxes) <= 90
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            assert abs(one["x"] - other["x"]) > 50 or abs(one["y"] - other["y"]) > 50
