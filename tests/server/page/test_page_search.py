"""Search: by an upload, by an item, by a code; the slider; the label; the number."""

import base64
import re

import pytest

PLACED = "li:not([hidden]) > a"


def hits(page):
    """(distance, name) of each hit that is seen."""
    cards = page.locator(f".hits {PLACED}")
    texts = "(cards) => cards.map((card) => ['.distance b', '.name'].map((part) => card.querySelector(part).innerText))"
    return [(int(distance), name) for distance, name in cards.evaluate_all(texts)]


def expected(result, radius=None, k=48):
    found = [(hit["distance"], hit["item"]["name"]) for hit in result["hits"]]
    return [hit for hit in found if radius is None or hit[0] <= radius][:k]


def differing(a, b, bits):
    value = int(a, 16) ^ int(b, 16)
    width = 4 * len(a)
    return [bit for bit in range(bits) if value >> (width - 1 - bit) & 1]


def test_an_uploaded_image_finds_itself(at, pictures):
    page = at.open("#/search")
    with page.expect_response(re.compile("/api/search")) as answered:
        page.set_input_files(".welcome input[type=file]", pictures / "3" / "003.png")
    page.wait_for_selector(".hits > li")
    result = answered.value.json()
    assert at.place == f"#/code/{result['code']}" and hits(page) == expected(result)
    assert {name for distance, name in hits(page) if distance == 0} >= {"3/003.png", "3/copy of 3.png"}
    assert page.locator(".query canvas").count() == 1 and "003.png" in page.locator(".query").inner_text()

    page.reload()  # the image is gone, its code is not
    page.wait_for_selector(".hits > li")
    assert hits(page) == expected(result) and page.locator(".query canvas").count() == 0
    page.go_back()
    page.wait_for_selector(".welcome")


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_an_image_is_dropped_or_pasted_on_any_view(at, pictures, way):
    page = at.open("#/statistics")
    content = base64.b64encode((pictures / "7" / "007.png").read_bytes()).decode()
    page.evaluate(
        """([way, content]) => {
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            data.items.add(new File([bytes], "mine.png", { type: "image/png" }));
            const init = { bubbles: true, cancelable: true };
            const event = way === "drop" ? new DragEvent("drop", { ...init, dataTransfer: data })
                : new ClipboardEvent("paste", { ...init, clipboardData: data });
            document.body.dispatchEvent(event);
        }""",
        [way, content],
    )
    page.wait_for_selector(".hits > li")
    assert (0, "7/007.png") in hits(page) and "mine.png" in page.locator(".query").inner_text()


def test_what_is_no_image_is_refused_with_the_servers_sentence(at, tmp_path):
    at.refused = [415, 422]
    (tmp_path / "notes.png").write_text("not a picture")
    page = at.open("#/search")
    with page.expect_response(re.compile("/api/search")) as answered:
        page.set_input_files("input[type=file]", tmp_path / "notes.png")
    alert = page.locator("main [role=alert]")
    alert.wait_for()
    assert alert.inner_text().lower() == answered.value.json()["detail"].lower()


def test_a_click_on_an_item_shows_what_is_similar(at):
    page = at.open("#/browse")
    page.locator(f".grid {PLACED}").nth(5).click()
    page.wait_for_selector(".hits > li")
    id = int(at.place.rsplit("/", 1)[1])
    result = at.answer(f"items/{id}/similar?k=240")
    assert hits(page) == expected(result) and hits(page)[0][0] == 0
    for rank, hit in enumerate(result["hits"][:12]):
        numbers = differing(result["code"], hit["item"]["code"], result["bits"])
        title = page.locator(".hits > li").nth(rank).locator(".strip title")
        assert len(numbers) == hit["distance"]
        if numbers:
            assert title.text_content().endswith(": " + ", ".join(map(str, numbers)))
        else:
            assert title.count() == 0
    page.go_back()
    page.wait_for_selector(".view-browse h1")


def test_the_slider_filters_without_asking(at):
    page = at.open("#/item/4?k=240")
    result = at.answer("items/4/similar?k=240")
    slider = page.get_by_label("Within distance")
    slider.focus()
    asked = len(at.searches())
    seen = set()
    for key in ["Home", *["ArrowRight"] * 12, "PageUp", "ArrowLeft"]:
        page.keyboard.press(key)
        radius = int(slider.input_value())
        inside = expected(result, radius, 240)
        assert hits(page) == inside and page.locator(".slider output").inner_text() == str(radius)
        number = len(inside)
        assert page.locator(".found .status").inner_text().startswith(f"{number} of {number} image")
        seen.add(number)
    assert len(seen) > 3 and len(at.searches()) == asked
    assert f"radius={radius}" in at.place
    page.reload()
    page.wait_for_selector(".hits > li")
    assert hits(page) == expected(result, radius, 240)


def test_more_is_fetched_when_the_radius_needs_it(at):
    page = at.open("#/item/4?radius=70&k=1000")  # every image is that near
    at.until("document.querySelectorAll('.hits > li').length === 306")
    assert hits(page) == expected(at.answer("items/4/similar?k=1000"), k=1000)


def test_more_are_shown_when_asked_for(at):
    page = at.open("#/item/4?k=24")
    assert len(hits(page)) == 24
    page.get_by_role("button", name="Show more").click()
    at.until("document.querySelectorAll('.hits > li:not([hidden])').length === 48")
    assert hits(page) == expected(at.answer("items/4/similar?k=240"))
    at.until("[...document.querySelectorAll('.hits a')].indexOf(document.activeElement) === 24")


def test_hits_are_of_the_label(at):
    page = at.open("#/item/4")
    with page.expect_response(re.compile("label=7")):
        page.get_by_label("Label", exact=True).select_option("7")
    at.until("[...document.querySelectorAll('.hits .name')].every((name) => name.innerText.startsWith('7/'))")
    assert hits(page) == expected(at.answer("items/4/similar?k=240&label=7"))
    assert "label=7" in at.place
    page.get_by_label("Show at most").select_option("24")
    at.until("document.querySelectorAll('.hits > li:not([hidden])').length === 24")


def test_an_item_that_is_not_there(at):
    at.refused = [404]
    page = at.open("#/item/99999")
    assert "99999" in page.locator("[role=alert]:visible").inner_text()
    page = at.open("#/nowhere")
    page.get_by_role("link", name="Search").last.click()
    page.wait_for_selector(".welcome")
