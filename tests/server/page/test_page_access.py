"""For everybody: axe-core's rules, keys alone, dark and light, a phone, less motion."""

import pytest

VIEWS = ["#/search", "#/item/4", "#/item/4?radius=0", "#/code/" + 18 * "0", "#/browse", "#/map",
         "#/duplicates?radius=2", "#/statistics", "#/item/99999", "#/nowhere"]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_in_light_or_dark(watched, view):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    at = watched(color_scheme="light", reduced_motion="reduce")
    at.refused = [404]
    page = at.open(view)
    page.wait_for_timeout(300)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
        assert found.response["passes"]


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_phone(watched, view):
    at = watched(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    at.refused = [404]
    page = at.open(view)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = page.evaluate(
        """() => [...document.querySelectorAll("main button, main select, main .button, header a")]
            .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 30).map((e) => e.outerHTML)"""
    )
    assert small == []


def focused(page):
    return page.evaluate(
        "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText ?? '').trim()"
    )


def test_everything_is_reached_by_keys_in_the_order_of_the_page(at):
    page = at.open("#/search")
    page.wait_for_selector(".grid > li")
    order = []
    for _ in range(10):
        page.keyboard.press("Tab")
        order.append(focused(page))
        outline = page.evaluate(
            """() => { const e = document.activeElement.matches("input[type=file]")
                ? document.activeElement.nextElementSibling : document.activeElement;
                return getComputedStyle(e).outlineStyle; }"""
        )
        assert outline != "none", order
    assert order[:8] == ["Skip to the content", "bitseek", "Search", "Browse", "Map", "Duplicates", "Statistics",
                         "Colours: automatic"]  # fmt: skip
    page.keyboard.press("ArrowRight")  # from the first example to the second
    second = page.locator(".grid a").nth(1)
    assert second.evaluate("(link) => link === document.activeElement")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hits > li")
    at.until("document.activeElement.id === 'view'")  # one who listens is told of the new view
    assert page.title().startswith("Similar to ")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "range":
            break
    page.keyboard.press("Home")
    at.until("/within distance 0/.test(document.getElementById('live').innerText)")


def test_the_skip_link_leads_to_the_content(at):
    page = at.open("#/browse")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    at.until("document.activeElement.id === 'view' && location.hash === '#/browse'")
    assert page.locator(".grid > li").count() == 60


def test_the_theme_is_chosen_and_remembered(watched):
    at = watched(color_scheme="light")
    page = at.open("#/search")

    def shows(choice, ground):
        at.until(f"document.getElementById('theme').innerText === 'Colours: {choice}'")
        light = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
        at.until(f"{light} {'> 700' if ground == 'light' else '< 100'}")

    shows("automatic", "light")
    page.emulate_media(color_scheme="dark")
    shows("automatic", "dark")
    page.locator("#theme").click()
    shows("light", "light")
    page.reload()
    shows("light", "light")
    page.locator("#theme").click()
    page.emulate_media(color_scheme="light")
    shows("dark", "dark")
    page.locator("#theme").click()
    shows("automatic", "light")


def test_with_less_motion_the_map_jumps(watched):
    at = watched(reduced_motion="reduce")
    page = at.open("#/map")
    frames = page.evaluate(
        """async () => {
            const { Camera } = await import("/static/camera.js");
            const { still } = await import("/static/dom.js");
            const camera = Object.assign(new Camera(), { width: 800, height: 500 });
            camera.zoom(9, 100, 100);
            let frames = 0;
            while (camera.step(16, still())) frames += 1;
            return frames;
        }"""
    )
    assert frames == 0


def test_a_phone_drags_and_pinches_the_map(watched):
    at = watched(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = at.open("#/map")
    page.wait_for_selector(".stage[data-still]")
    box = page.locator(".stage canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = at.context.new_cdp_session(page)

    def fingers(kind, *places):
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": a, "y": b, "id": i} for i, (a, b) in enumerate(places)]},
        )

    fingers("touchStart", (x - 30, y), (x + 30, y))
    for apart in range(30, 121, 10):
        fingers("touchMove", (x - apart, y), (x + apart, y))
    fingers("touchEnd")
    at.until("/zoom=(3\\.[4-9]|4\\.0)/.test(location.hash)")  # 0.94 × 4 = 3.76
