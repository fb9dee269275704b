"""No work on the page is lost or misplaced: two windows that are cut off, refusals that pass, hands that move on."""

import re

import pytest
from browser import Watched
from page_steps import (
    OTHER,
    another,
    current,
    drag,
    is_saved,
    is_settled,
    known,
    label,
    open_export,
    pictures,
    place_of,
    say_points,
    seen,
)
from waiting import until


def test_a_refusal_that_is_not_the_labels_fault_keeps_it(tiny):
    """As of a proxy, or for a token that is no longer the right one: it may pass, and the label is sent again."""
    page, folder = tiny
    page.watched.allowed.append("Failed to load resource")
    is_settled(page)
    number, left = current(page), [403, 408, 507]

    def refuse(route):
        if left:
            route.fulfill(status=left.pop(), json={"error": "Not now.", "request_id": ""})
        else:
            route.continue_()

    page.route("**/label", refuse)
    drag(page, "nose", 30, 20)
    seen(page, lambda: "nose" in label(folder, number)["points"], "it is saved after all")


def test_requests_that_need_the_token_at_once_ask_for_it_once(browser, serve):
    with serve(token="a-token-of-a-good-length") as (url, _):
        watched = Watched(browser, url)
        watched.allowed.append("Failed to load resource")
        page = watched.open()
        page.wait_for_selector("#token")
        page.evaluate("import('./api.js').then(({ api }) => { window.also = api.categories(); })")
        page.wait_for_timeout(300)
        page.fill("#token", "a-token-of-a-good-length")
        page.keyboard.press("Enter")
        assert page.evaluate("window.also.then((all) => all.length > 0, (error) => error.message)") is True
        watched.close()


def test_two_windows_that_are_cut_off_keep_the_work_of_both(tiny):
    """Also that of the one which is closed meanwhile: the other one sends it."""
    page, folder = tiny
    page.watched.allowed.append("Failed to load resource")
    is_settled(page)
    first, second = current(page), another(page)
    other = page.context.new_page()
    other.goto(page.watched.url)
    other.locator(f'#list li[data-id="{second}"] button').click()
    until(lambda: current(other) == second, "another picture")
    other.wait_for_selector(".dot")
    page.context.set_offline(True)
    page.bring_to_front()
    drag(page, "nose", 30, 20)
    page.wait_for_selector("#connection >> text=The server does not answer")
    other.bring_to_front()
    drag(other, "left ear", 20, 15)
    other.wait_for_selector("#connection >> text=The server does not answer")
    page.close()
    page.context.set_offline(False)
    other.evaluate("document.getElementById('try-now').click()")  # by itself it tries again within half a minute
    until(lambda: "left ear" in label(folder, second)["points"], "what the window did that is open")
    until(lambda: "nose" in label(folder, first)["points"], "what the window did that was closed")
    until(lambda: other.evaluate("localStorage.length") == 0, "nothing is left in the browser")


def test_a_point_that_is_held_while_another_picture_comes_changes_nothing_there(tiny):
    """A second finger opens it, or a key: what the hand held was of the picture before."""
    page, folder = tiny
    is_settled(page)
    first, second = current(page), another(page)
    page.evaluate(
        """async () => {
          const [{ change }, { state }] = [await import("./history.js"), await import("./state.js")];
          change({ ...state.picture.label, box: [10, 10, 200, 150] });
        }"""
    )
    is_saved(page)
    is_settled(page)
    page.focus('.dot[data-key="nose"]')
    x, y = place_of(page, "nose")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 10)
    page.mouse.move(x + 30, y + 20)
    assert known(page, "dragging")
    page.evaluate(OTHER % second)
    until(lambda: current(page) == second, "another picture")
    page.mouse.up()
    is_saved(page)
    assert not known(page, "dragging")
    assert known(page, "picture.label.box") is None and known(page, "picture.label.points") == {}
    assert "box" not in label(folder, second) or label(folder, second)["box"] is None
    assert label(folder, first)["box"] == [10, 10, 200, 150]


def test_keys_wait_until_a_point_that_is_held_is_let_go(tiny):
    page, folder = tiny
    is_settled(page)
    number = current(page)
    drag(page, "nose", 30, 20)
    is_saved(page)
    x, y = place_of(page, "nose")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 10)
    page.mouse.move(x + 30, y + 20)
    for key in ("PageDown", "Delete", "z"):
        page.keyboard.press(key)
    page.mouse.up()
    is_saved(page)
    assert current(page) == number and set(label(folder, number)["points"]) == {"nose"}
    assert not label(folder, number)["done"]


def test_a_point_that_is_clicked_lies_in_its_picture_though_another_one_is_looked_at_by_then(tiny):
    page, folder = tiny
    is_settled(page)
    first, second = current(page), another(page)
    held = []
    page.route("**/v1/project/category", lambda route: held.append(route))
    page.evaluate("import('./placing.js').then(({ addPoint }) => { addPoint([40, 50]); })")
    seen(page, lambda: held, "the new point is sent")
    page.evaluate(OTHER % second)
    until(lambda: current(page) == second, "another picture")
    held[0].continue_()
    until(lambda: label(folder, first)["points"].get("point 5") == [40, 50, 2], "it is marked where it was clicked")
    assert "point 5" not in label(folder, second)["points"]
    assert current(page) == second and known(page, "picture.id") == second


def test_a_late_answer_of_the_server_does_not_take_away_the_point_that_is_being_named(tiny):
    page, folder = tiny
    is_settled(page)
    number, held = current(page), []

    def hold(route):
        if held:
            return route.continue_()
        return held.append((route, route.fetch()))

    page.route("**/v1/project", hold)
    seen(page, lambda: held, "the server has said what it had")
    page.evaluate("import('./placing.js').then(({ addPoint }) => { addPoint([40, 50]); })")
    page.wait_for_selector("#points input:focus")
    page.keyboard.type("tail")
    route, response = held[0]
    route.fulfill(response=response)  # it does not know the point yet
    page.wait_for_timeout(300)
    page.keyboard.type(" root")
    page.keyboard.press("Enter")
    page.wait_for_selector('.dot[data-key="tail root"]')
    until(lambda: label(folder, number)["points"].get("tail root") == [40, 50, 2], "it is saved under its name")


def test_points_that_were_taken_are_not_refused_where_the_list_does_not_come(tiny):
    page, _ = tiny
    is_settled(page)
    page.watched.allowed.append("Failed to load resource")
    asked = []
    page.route("**/v1/project/pictures?*", lambda route: asked.append(route) or route.abort())
    say_points(page, "nose\ntail tip", "fox")
    seen(page, lambda: asked, "the list was asked for")
    page.wait_for_timeout(200)
    assert page.locator("#category-refused").text_content() == ""
    page.unroute_all()
    page.wait_for_selector("#connection >> text=The server is back")
    is_settled(page)
    assert known(page, "project.category.keys") == ["nose", "tail tip"]


def test_a_name_that_is_written_does_not_bring_back_the_picture_before(tiny):
    page, _ = tiny
    is_settled(page)
    first, second = current(page), another(page)
    held = []
    page.route("**/v1/project/category", lambda route: held.append(route))
    name = page.locator('#points [data-key="nose"] input')
    name.fill("snout")
    name.press("Enter")
    seen(page, lambda: held, "the new name is sent")
    late = []
    page.route(re.compile(rf"/v1/project/pictures/{first}$"), lambda route: late.append(route))
    held[0].continue_()
    until(lambda: late or known(page, "project.category.keys").count("snout"), "the name is there")
    page.wait_for_timeout(300)
    page.evaluate(OTHER % second)
    until(lambda: current(page) == second, "another picture")
    for one in late:
        one.continue_()
    page.unroute_all()
    page.wait_for_timeout(300)
    assert known(page, "picture.id") == second
    page.wait_for_selector('.dot[data-key="snout"]')


def test_two_windows_each_add_a_point_and_both_are_looked_for(tiny):
    page, _ = tiny
    is_settled(page)
    other = page.context.new_page()
    other.goto(page.watched.url)
    other.wait_for_selector(".dot")
    other.route("**/v1/project", lambda route: None)  # it hears nothing of what this window adds
    add = """(name) => import("./placing.js").then(({ changePoints, currentPoints }) =>
      changePoints([...currentPoints(), { name }]))"""
    page.evaluate(add, "back")
    other.evaluate(add, "belly")
    assert known(other, "project.category.keys") == ["nose", "left ear", "right ear", "tail tip", "belly", "back"]
    other.unroute_all()


def test_a_file_that_is_gone_before_it_is_sent_costs_no_other(browser, serve, tmp_path):
    files = []
    for one in pictures(3):
        files.append(tmp_path / one["name"])
        files[-1].write_bytes(one["buffer"])
    with serve() as (url, _):
        watched = Watched(browser, url)
        watched.allowed += ["Failed to load resource", "ERR_"]
        page = watched.open()
        page.wait_for_selector("text=Drop your pictures here")
        held = []

        def hold(route):
            held.append(route) if len(held) < 2 else route.continue_()

        page.route("**/v1/project/pictures?name=*", hold)
        page.set_input_files("#file-input", files)
        seen(page, lambda: len(held) == 2, "two are being sent")
        files[2].unlink()
        for one in held:
            one.continue_()
        page.wait_for_selector("#refused >> text=c.png")
        page.wait_for_selector("#list li >> nth=1")
        until(lambda: page.evaluate("import('./uploading.js').then(({ uploads }) => uploads())") is None, "all is sent")
        assert page.locator("#connection").is_hidden()
        watched.close()


def test_small_pictures_come_when_the_server_is_back(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    is_settled(page)
    page.route("**/image?side=128", lambda route: route.abort())
    page.reload()
    page.wait_for_selector("#list img.broken >> nth=2")
    page.unroute_all()
    page.wait_for_selector("#list img[src^=blob] >> nth=2")
    assert page.locator("#list img.broken").count() == 0


CUT_OFF = """
(part) => {
  const real = window.fetch;
  window.fetch = async (path, options) => {
    const response = await real(path, options);
    if (!path.includes(part)) return response;
    window.fetch = real; // the next one is whole
    const begun = new ReadableStream({ start(body) { body.enqueue(new Uint8Array([123])); },
      pull(body) { body.error(new TypeError("network error")); } });
    return new Response(begun, { status: 200, headers: response.headers });
  };
}
"""


def test_an_upload_whose_answer_is_cut_off_is_sent_again(browser, serve):
    with serve() as (url, folder):
        watched = Watched(browser, url)
        page = watched.open()
        page.wait_for_selector("text=Drop your pictures here")
        page.evaluate(CUT_OFF, "pictures?name=")
        page.set_input_files("#file-input", pictures(1))
        page.wait_for_selector("#list li")
        until(lambda: page.evaluate("import('./uploading.js').then(({ uploads }) => uploads())") is None, "all is sent")
        assert page.inner_text("#refused") == "" and page.locator("#list li").count() == 1
        assert [one.name for one in (folder / "images").iterdir()] == ["a.png"]
        watched.close()


def test_pixels_that_are_cut_off_are_fetched_again_when_the_server_is_back(tiny):
    page, _ = tiny
    is_settled(page)
    page.add_init_script(f"({CUT_OFF})('image?side=512')")
    page.reload()
    page.wait_for_selector("#connection >> text=The server does not answer")
    until(lambda: known(page, "bitmap !== null"), "its pixels")
    assert page.locator("#welcome .refusal").count() == 0 and page.inner_text("#said") == ""


def test_an_export_that_is_cut_off_is_said_in_one_sentence(tiny):
    page, _ = tiny
    open_export(page)
    page.evaluate(CUT_OFF, "export/file")
    page.click("#export-go")
    page.wait_for_selector("#export-refused >> text=The server does not answer; try it again when it is back.")


def test_a_point_that_gets_the_name_of_another_keeps_its_own_marks(tiny):
    page, folder = tiny
    is_settled(page)
    number = current(page)
    drag(page, "left ear", 30, 20)
    drag(page, "nose", -10, 15)
    is_saved(page)
    before = label(folder, number)["points"]
    name = page.locator('#points [data-key="left ear"] input')
    name.fill("nose")
    name.press("Enter")
    page.wait_for_selector('.dot[data-key="left ear"]', state="detached")
    key = next(one for one in known(page, "project.category.keys") if one not in (*before, "right ear", "tail tip"))
    points = known(page, "picture.label.points")
    assert points["nose"] == before["nose"] and points[key] == before["left ear"]
    is_saved(page)
    assert label(folder, number)["points"] == points


@pytest.mark.parametrize(
    ("key", "address", "dialog"), [("c", "**/v1/categories", "category"), ("x", "**/v1/project/forms", "export")]
)
def test_what_a_dialog_would_have_shown_is_not_missed_after_it_was_closed(tiny, key, address, dialog):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    page.reload()  # kinds are asked for once
    page.wait_for_selector(".dot")
    is_settled(page)
    held = []
    page.route(address, lambda route: held.append(route))
    page.focus("#stage")
    page.keyboard.press(key)
    seen(page, lambda: held, "it was asked for")
    page.keyboard.press("Escape")
    page.wait_for_selector(f"#{dialog}-dialog", state="hidden")
    held[0].abort()
    page.wait_for_selector("#connection >> text=The server does not answer")
    assert page.locator("text=The server does not answer").count() == 1, "it is said once"
