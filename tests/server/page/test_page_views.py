"""Browse, duplicates, statistics; hostile names everywhere."""

import csv
import io
import re

from tests.server.page.conftest import HOSTILE

from bitseek.collection import Collection


def names(page, grid=".grid"):
    return page.locator(f"{grid} > li .name").all_inner_texts()


def test_all_items_page_by_page(at):
    page = at.open("#/browse")
    seen = names(page)
    assert len(seen) == 60 and page.locator(".head .status").inner_text() == "306 images"
    for number in range(2, 7):
        page.get_by_role("link", name="Next page").click()
        at.until(f"document.querySelector('.pager input')?.value === '{number}'")
        seen += names(page)
    assert page.get_by_role("link", name="Next page").count() == 0
    assert [name.split() for name in seen] == [item["name"].split() for item in at.answer("items?limit=1000")["items"]]
    page.go_back()
    at.until("document.querySelector('.pager input')?.value === '5'")
    jump = page.get_by_label("Go to page")
    jump.fill("2")
    jump.press("Enter")
    at.until("document.querySelector('.pager input')?.value === '2'")
    assert at.place == "#/browse?page=2"


def test_items_of_a_label(at):
    page = at.open("#/browse")
    page.get_by_label("Label", exact=True).select_option("4")
    at.until("document.querySelector('.head .status')?.innerText.includes('with this label')")
    assert names(page) == [item["name"] for item in at.answer("items?label=4")["items"]]
    page.go_back()
    at.until("document.querySelector('.head .status')?.innerText === '306 images'")


def test_back_returns_to_the_place_that_was_read(at):
    page = at.open("#/browse")
    card = page.locator(".grid > li a").nth(50)
    card.scroll_into_view_if_needed()
    at.until("scrollY > 100 && history.state?.scroll === scrollY")
    before = page.evaluate("scrollY")
    card.click()
    page.wait_for_selector(".hits > li")
    at.until("scrollY === 0")
    page.go_back()
    at.until(f"Math.abs(scrollY - {before}) < 5")


def groups(page):
    return [section.locator("li .name").all_inner_texts() for section in page.locator(".group").all()]


def told(answer):
    return [[item["name"] for item in group["items"]] for group in answer["groups"]]


def plain(found):
    return [[name.split() for name in group] for group in found]


def test_groups_of_duplicates_follow_radius_and_linkage(at):
    page = at.open("#/duplicates")
    exact = at.answer("duplicates?radius=0&limit=500")
    assert plain(groups(page)) == plain(told(exact))[:30]
    assert ["3/003.png", "3/copy of 3.png"] in groups(page)
    slider = page.get_by_label("Within distance")
    slider.focus()
    for radius in (1, 2):
        with page.expect_response(re.compile(f"duplicates.*radius={radius}")):
            page.keyboard.press("ArrowRight")
        at.until(f"document.querySelector('.head .status').innerText.endsWith('distance {radius}')")
        answer = at.answer(f"duplicates?radius={radius}&limit=500")
        assert plain(groups(page)) == plain(told(answer))[:30]
        title = page.locator(".charts svg").first.locator("title").nth(radius).text_content()
        assert title.startswith(f"distance {radius}: {answer['histogram'][radius]} pair")
    with page.expect_response(re.compile("complete")):
        page.get_by_label("Linkage").select_option("complete")
    page.wait_for_selector(".groups:not([aria-busy])")
    assert plain(groups(page)) == plain(told(at.answer("duplicates?radius=2&linkage=complete&limit=500")))[:30]
    page.get_by_label("Show").select_option("exact")
    assert page.locator(".group .tag.exact").count() == page.locator(".group").count() > 0
    assert at.place == "#/duplicates?radius=2&linkage=complete&kind=exact"
    page.reload()
    at.ready()
    assert page.get_by_label("Show").input_value() == "exact" and slider.input_value() == "2"


def test_groups_are_saved_as_a_table(at):
    page = at.open("#/duplicates?radius=1")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download as CSV").click()
    with open(saved.value.path(), newline="", encoding="utf-8") as file:  # noqa: PTH123
        rows = list(csv.DictReader(io.StringIO(file.read(), newline="")))
    answer = at.answer("duplicates?radius=1&limit=500")
    expected = [(number, item["id"]) for number, group in enumerate(answer["groups"], 1) for item in group["items"]]
    assert [(int(row["group"]), int(row["id"])) for row in rows] == expected
    assert saved.value.suggested_filename == "duplicates-1-connected.csv"


def test_statistics_are_those_of_the_collection(at, digits_folder):
    page = at.open("#/statistics")
    figures = dict(
        zip(page.locator(".figures dt").all_inner_texts(), page.locator(".figures dd").all_inner_texts(), strict=True)
    )
    with Collection.open(digits_folder) as collection:
        assert figures["Images"] == str(len(collection)) and figures["Bits"] == str(collection.bits)
        assert figures["Labels"] == str(len(collection.labels()))
        assert collection.fingerprint in page.locator(".fingerprint").inner_text()
        shares = collection.codes[collection.alive].to_bits().mean(axis=0)
        rows = page.locator(".labels tbody tr").all()
        told = {row.locator("th").inner_text(): int(row.locator("td").first.inner_text()) for row in rows}
        assert told == collection.labels()
    titles = page.locator(".chart svg title").all_text_contents()
    assert titles == [f"bit {bit}: {int(100 * share + 0.5)} %" for bit, share in enumerate(shares.tolist())]
    page.get_by_role("link", name="7", exact=True).click()
    at.until("document.querySelector('.head .status')?.innerText.includes('with this label')")


def test_hostile_names_are_text(at):
    listed = at.answer("items?label=%3Cb%3Eodd")["items"]
    assert len(listed) == len(HOSTILE)
    page = at.open("#/browse?label=%3Cb%3Eodd")
    assert page.locator(".grid .name").all_text_contents() == [item["name"] for item in listed]
    assert page.locator(".grid .label").all_text_contents() == ["<b>odd"] * len(HOSTILE)
    for item in listed:
        page = at.open(f"#/item/{item['id']}")
        assert page.locator(".facts dd").first.text_content() == item["name"]
        assert item["name"] in page.title() or "\n" in item["name"]
    for place in ("#/duplicates?radius=3", "#/statistics", "#/map"):
        at.open(place)
    assert page.locator("main b:has-text('odd'), main img[onerror]").count() == 0
