"""Answers of the server that come late or out of order, when the person is somewhere else by then."""

import re

import pytest
from page_steps import (
    OTHER,
    another,
    current,
    is_saved,
    is_settled,
    known,
    label,
    open_export,
    pictures,
    place_of,
    seen,
)
from waiting import until

MARKS = """
async (points) => {
  const [{ change }, { state }] = [await import("./history.js"), await import("./state.js")];
  change({ ...state.picture.label, points });
}
"""
FOUR = {"nose": [40, 50, 2], "left ear": [120, 60, 2], "right ear": [200, 120, 2], "tail tip": [280, 200, 2]}
OPENED = "window.opened.then(() => import('./state.js')).then(({ state }) => state.picture.label.points)"


def hold(page, pattern, method: str = "", late: bool = False) -> list:
    """The next request of a pattern waits until a test lets it go on; all after it go on at once.

    late: its answer is what the server has now, and comes when a test fulfils it: `release`.
    """
    held = []

    def once(route):
        if held or (method and route.request.method != method):
            return route.fallback()
        return held.append((route, route.fetch() if late else None))

    page.route(pattern, once)
    return held


def release(held: list, **answer) -> None:
    """Let what was held go on, or answer it so."""
    route, response = held[0]
    if answer:
        route.fulfill(status=answer.pop("status"), json={**answer, "request_id": ""})
    elif response is None:
        route.continue_()
    else:
        route.fulfill(response=response)


def asked_late(page, number: int) -> list:
    return hold(page, re.compile(rf"/v1/project/pictures/{number}$"), "GET", late=True)


def open_later(page, number: int) -> None:
    page.evaluate("(id) => { window.opened = import('./pictures.js').then(({ open }) => open(id, true)); }", number)


def test_a_picture_that_was_asked_for_before_its_label_was_saved_is_shown_as_it_was_left(tiny):
    """Otherwise it would be finished with the model's answer in place of what the person said."""
    page, _ = tiny
    is_settled(page)
    first, second = current(page), another(page)
    saves = hold(page, "**/label")
    page.evaluate(MARKS, {"nose": [40, 50, 2]})
    seen(page, lambda: saves, "the label is sent")
    page.evaluate(OTHER % second)
    until(lambda: current(page) == second, "another picture")
    held = asked_late(page, first)
    open_later(page, first)
    seen(page, lambda: held, "the first picture is asked for again")
    release(saves)
    is_saved(page)
    release(held)  # it does not know the label yet
    assert page.evaluate(OPENED) == {"nose": [40, 50, 2]}


def test_a_picture_that_was_asked_for_before_a_point_was_renamed_has_the_new_name(tiny):
    page, _ = tiny
    is_settled(page)
    number = current(page)
    page.evaluate(MARKS, {"nose": [40, 50, 2]})
    is_saved(page)
    held = asked_late(page, number)
    open_later(page, number)
    seen(page, lambda: held, "the picture is asked for")
    page.evaluate("import('./placing.js').then(({ rename }) => rename('nose', 'snout'))")
    release(held)  # it has the name before
    assert page.evaluate(OPENED) == {"snout": [40, 50, 2]}


def test_a_point_whose_name_was_written_just_now_goes_with_the_hand_that_drags_it(tiny):
    """The hand takes the focus from the name, which is sent then; the answer comes while the point is held."""
    page, folder = tiny
    is_settled(page)
    number = current(page)
    page.evaluate(MARKS, FOUR)
    is_saved(page)
    page.fill('#points [data-key="nose"] input', "snout")
    held = hold(page, "**/v1/project/category")
    x, y = place_of(page, "nose")
    page.mouse.move(x, y)
    page.mouse.down()
    seen(page, lambda: held, "the new name is sent")
    page.mouse.move(x + 20, y + 10)
    with page.expect_response("**/v1/project/category") as answer:
        release(held)
    answer.value.finished()
    page.evaluate("document.getElementById('try-now').click()")  # looks at the server now
    page.wait_for_timeout(300)
    assert page.locator(".dot").count() == 4, "what a hand holds is seen"
    page.mouse.move(x + 40, y + 30)
    page.mouse.up()
    page.wait_for_selector('.dot[data-key="snout"]')
    is_saved(page)
    points = label(folder, number)["points"]
    assert set(points) == {"snout", "left ear", "right ear", "tail tip"}
    assert points["snout"][0] > 45 and points["snout"][1] > 55
    page.keyboard.press("z")
    is_saved(page)
    assert label(folder, number)["points"] == {"snout": FOUR["nose"], **{k: v for k, v in FOUR.items() if k != "nose"}}


def test_an_answer_to_what_is_this_takes_no_focus_from_a_name_that_is_being_written(tiny):
    """The rest of the name would be taken for shortcuts."""
    page, _ = tiny
    is_settled(page)
    held = hold(page, "**/identify")
    page.focus("#stage")
    page.evaluate("import('./ask.js').then(({ askAt }) => { askAt([160, 120]); })")
    seen(page, lambda: held, "it is asked")
    page.fill('#points [data-key="nose"] input', "snou")
    release(held)
    page.wait_for_selector("#ask .choice")
    page.keyboard.type("t")
    page.keyboard.press("Enter")
    page.wait_for_selector('#points [data-key="snout"]')


def test_a_new_point_takes_no_focus_from_a_name_that_is_being_written(tiny):
    page, folder = tiny
    is_settled(page)
    number = current(page)
    add = "(place) => { import('./placing.js').then(({ addPoint }) => { addPoint(place); }); }"
    page.evaluate(add, [40, 50])
    page.wait_for_selector("#points input:focus")
    is_saved(page)
    held = hold(page, "**/v1/project/category")
    page.evaluate(add, [200, 100])
    seen(page, lambda: held, "the second point is sent")
    page.keyboard.type("tail")
    release(held)
    page.wait_for_selector('.dot[data-key="point 6"]')
    page.keyboard.type(" root")
    page.keyboard.press("Enter")
    seen(page, lambda: label(folder, number)["points"].get("tail root") == [40, 50, 2], "it is saved under its name")
    until(lambda: known(page, "project.category.keys")[4:] == ["tail root", "point 6"], "it is shown under its name")


def test_a_picture_that_was_taken_is_not_refused_where_the_list_does_not_come(tiny):
    page, _ = tiny
    is_settled(page)
    page.watched.allowed.append("Failed to load resource")
    asked = []
    page.route("**/v1/project/pictures?since=*", lambda route: asked.append(route) or route.abort())
    page.set_input_files("#file-input", pictures(4)[3:])
    seen(page, lambda: asked, "the list was asked for")
    page.unroute_all()
    page.wait_for_selector("#list li >> nth=3")
    assert page.inner_text("#refused") == ""


DROPPED = """
() => {
  const picture = new File([new Uint8Array([1, 2, 3])], "a.txt");
  const file = { isFile: true, fullPath: "/a.txt", file: (done) => done(picture) };
  const folder = { fullPath: "/closed",
    createReader: () => ({ readEntries: (done, failed) => failed(new DOMException("no")) }) };
  const items = [file, folder].map((one) => ({ webkitGetAsEntry: () => one }));
  const dataTransfer = { types: ["Files"], items, files: [] };
  window.dispatchEvent(Object.assign(new Event("drop", { cancelable: true }), { dataTransfer }));
}
"""


def test_a_folder_that_cannot_be_read_is_said_and_costs_no_other_file(tiny):
    page, _ = tiny
    is_settled(page)
    page.watched.allowed.append("Failed to load resource")
    page.evaluate(DROPPED)
    page.wait_for_selector("#refused >> text=closed: it cannot be read")
    page.wait_for_selector("#refused >> text=a.txt")


def test_what_an_export_would_be_is_of_the_form_that_is_chosen(tiny):
    """An older look may be answered after a newer one."""
    page, _ = tiny
    open_export(page)
    forms = page.locator("#export-form option").evaluate_all("all => all.map((one) => one.value)")
    name, held = page.locator("#export-look code").first, hold(page, f"**/export?form={forms[1]}*")
    page.select_option("#export-form", forms[1])
    seen(page, lambda: held, "the second form is looked at")
    with page.expect_response(f"**/export?form={forms[2]}*") as later:
        page.select_option("#export-form", forms[2])
    until(lambda: name.inner_text() == later.value.json()["name"], "the third form")
    with page.expect_response(f"**/export?form={forms[1]}*") as older:
        release(held)
    assert older.value.json()["name"] != later.value.json()["name"]
    page.wait_for_timeout(200)
    assert name.inner_text() == later.value.json()["name"]


def test_an_export_that_fails_after_its_dialog_was_closed_is_said_on_the_page(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    open_export(page)
    held = hold(page, "**/export/file?*")
    page.click("#export-go")
    seen(page, lambda: held, "the file is being made")
    page.keyboard.press("Escape")
    release(held, status=422, error="There is nothing to write.")
    page.wait_for_selector("#refused >> text=There is nothing to write.")


def test_a_label_that_is_refused_when_another_picture_is_looked_at_is_not_said_below_that_one(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    is_settled(page)
    second, held = another(page), hold(page, "**/label")
    page.evaluate(MARKS, {"nose": [40, 50, 2]})
    seen(page, lambda: held, "the label is sent")
    page.evaluate(OTHER % second)
    until(lambda: current(page) == second, "another picture")
    release(held, status=422, error="a.png cannot have that.")
    page.wait_for_selector("#refused >> text=a.png cannot have that.")
    assert page.inner_text("#said") == ""


def test_a_refusal_that_has_passed_is_no_longer_said_below_another_picture(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    is_settled(page)
    second, held = another(page), hold(page, "**/label")
    page.evaluate(MARKS, {"nose": [40, 50, 2]})
    seen(page, lambda: held, "the label is sent")
    page.evaluate(OTHER % second)
    until(lambda: current(page) == second, "another picture")
    release(held, status=507, error="No room is left.")
    page.wait_for_selector("#said >> text=No room is left.")
    is_saved(page)
    until(lambda: page.inner_text("#said") == "", "nothing is said any longer")


def test_a_box_is_begun_only_in_the_object_that_was_added(tiny):
    """Another picture may be opened before the object is there."""
    page, _ = tiny
    is_settled(page)
    second = another(page)
    page.focus("#stage")
    held = asked_late(page, 4)
    page.keyboard.press("g")
    seen(page, lambda: held, "the object is asked for")
    page.evaluate(OTHER % second)
    until(lambda: current(page) == second, "another picture")
    release(held)
    page.wait_for_timeout(200)
    assert known(page, "mode") == "look" and current(page) == second


def test_the_first_picture_comes_though_the_server_was_away_when_it_was_asked_for(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    is_settled(page)
    asked = []
    page.route(re.compile(r"/v1/project/pictures/\d+$"), lambda route: asked.append(route) or route.abort())
    page.reload()
    seen(page, lambda: asked, "a picture was asked for")
    page.unroute_all()
    page.wait_for_selector("#connection >> text=The server is back")
    page.wait_for_selector(".dot")


def test_where_a_point_may_be_is_refused_for_the_picture_that_is_looked_at_alone(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    is_settled(page)
    second, held = another(page), hold(page, "**/density")
    page.hover('#points [data-key="nose"]')
    seen(page, lambda: held, "the density is asked for")
    page.mouse.move(5, 5)
    page.evaluate(OTHER % second)
    until(lambda: current(page) == second, "another picture")
    release(held, status=503, error="The model takes too long.")
    page.wait_for_timeout(200)
    assert page.inner_text("#said") == ""


RENAMED = """
fetch("/v1/project/category", { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(
  { points: [["snout", "nose"], ["left ear", "left ear"], ["right ear", "right ear"], ["tail tip", "tail tip"]].map(
    ([name, was]) => ({ name, was })) }) })
"""


def test_a_name_that_is_being_written_stays_where_it_is_when_another_window_renames_its_point(tiny):
    """The rest of it would be written into the name of another point."""
    page, _ = tiny
    is_settled(page)
    page.fill('#points [data-key="nose"] input', "muzz")
    page.evaluate(RENAMED)
    page.evaluate("document.getElementById('try-now').click()")  # looks at the server now
    page.wait_for_selector('#points [data-key="snout"]')
    page.keyboard.type("le")
    page.keyboard.press("Enter")
    page.wait_for_selector("#said >> text=“nose” is no longer the name of a point")
    page.wait_for_selector('#points [data-key="nose"]', state="detached")
    assert known(page, "project.category.keys") == ["snout", "left ear", "right ear", "tail tip"]


def test_a_choice_that_is_refused_after_its_dialog_was_closed_is_said_on_the_page(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    is_settled(page)
    page.click("#open-category")
    held = hold(page, "**/v1/project/category")
    page.click("text=Look for these")
    seen(page, lambda: held, "the choice is sent")
    page.keyboard.press("Escape")
    release(held, status=422, error="These are no points.")
    page.wait_for_selector("#refused >> text=These are no points.")


def test_a_key_that_is_pressed_twice_adds_one_object(tiny):
    page, _ = tiny
    is_settled(page)
    held = hold(page, "**/objects")
    page.focus("#stage")
    page.keyboard.press("g")
    page.keyboard.press("g")
    seen(page, lambda: held, "the object is begun")
    page.wait_for_timeout(200)
    release(held)
    until(lambda: known(page, "mode") == "box", "its box is drawn")
    assert page.evaluate("fetch('/v1/project').then((one) => one.json()).then(({ pictures }) => pictures)") == 4


def test_pictures_that_are_still_to_be_sent_are_not_left_behind_unasked(tiny):
    """Labels are kept in the browser; files cannot be."""
    page, _ = tiny
    is_settled(page)
    page.click("h1")  # a browser asks only where a person was on the page
    held = hold(page, "**/v1/project/pictures?name=*")
    page.set_input_files("#file-input", pictures(4)[3:])
    seen(page, lambda: held, "the picture is being sent")
    asked = []
    page.on("dialog", lambda dialog: asked.append(dialog.type) or dialog.dismiss())
    page.close(run_before_unload=True)
    seen(page, lambda: asked == ["beforeunload"], "the browser asks")
    release(held)
    page.wait_for_selector("#list li >> nth=3")


@pytest.mark.parametrize("call", ["overview()", "pictures('')", "picture(1)", "setCategory({ points: [], base: [] })"])
def test_what_the_page_waits_for_counts_as_not_answered_after_a_while(tiny, call):
    """A request that never ends would stop all others that wait for it."""
    page, _ = tiny
    limited = page.evaluate(
        """async () => {
          const { api } = await import("./api.js");
          const plain = window.fetch;
          const limited = [];
          window.fetch = (path, options) => {
            limited.push(options.signal instanceof AbortSignal);
            return Promise.reject(new TypeError("not sent"));
          };
          try {
            await api.CALL.catch(() => {});
          } finally {
            window.fetch = plain;
          }
          return limited[0];
        }""".replace("CALL", call)
    )
    assert limited
