"""Where the keyboard's focus is on the page: on one row of the list, and never lost with what closes."""

import numpy as np
import pytest
from browser import Watched
from page_steps import (
    add_pictures,
    current,
    finish,
    hold_picture,
    image_place,
    is_saved,
    is_settled,
    known,
    label,
    pictures,
    place_of,
    say_points,
)
from waiting import until

FOCUSED = "document.activeElement.id || document.activeElement.className"


def test_tab_stops_once_in_the_list_and_the_arrows_go_on(tiny):
    """Of thousands of pictures, each would be one more Tab on the way to the picture."""
    page, _ = tiny
    is_settled(page)
    page.mouse.move(700, 400)
    page.focus("#open-help")
    page.keyboard.press("Tab")
    number = "+document.activeElement.closest('li')?.dataset.id"
    assert page.evaluate(number) == current(page)
    order = page.locator("#list li").evaluate_all("all => all.map((one) => +one.dataset.id)")
    for key, place in (("End", -1), ("ArrowUp", -2), ("Home", 0), ("ArrowDown", 1)):
        page.keyboard.press(key)
        assert page.evaluate(number) == order[place]
    page.keyboard.press("Enter")
    until(lambda: current(page) == order[1], "the picture is opened")
    assert page.evaluate(number) == order[1]
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "add-pictures"


@pytest.mark.parametrize(
    "pressed", ["#list li:not(:has([aria-current=true])) .row", "#next", "#points li:last-child [title=hidden]"]
)
def test_what_a_hand_has_pressed_leaves_enter_to_finish_the_picture(tiny, pressed):
    page, folder = tiny
    is_settled(page)
    before = current(page)
    page.locator(pressed).first.click()
    if "[title" not in pressed:
        until(lambda: current(page) != before and known(page, "bitmap !== null"), "another picture")
    number = current(page)
    finish(page)
    until(lambda: label(folder, number).get("done"), "it is finished")


def test_a_crosshair_is_there_for_the_keyboard_alone(tiny):
    """In the middle of the picture it looked like the place where a point would be put."""
    page, _ = tiny
    is_settled(page)
    page.click("#mode-place")
    assert known(page, "mode") == "place" and known(page, "cross") is None
    page.keyboard.press("ArrowRight")
    assert known(page, "cross") is not None, "a key brings it"
    page.keyboard.press("Escape")
    for key in ("m", "b", "w"):
        page.keyboard.press(key)
        assert known(page, "cross") is not None, key


def test_the_first_steps_hand_the_focus_on(browser, serve):
    with serve() as (url, _):
        watched = Watched(browser, url)
        watched.page.on("filechooser", lambda _: None)  # from here on the browser gives choosers to the test
        page = watched.open()
        page.wait_for_selector("text=Drop your pictures here")
        page.focus("#welcome button")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(pictures(1))
        page.wait_for_selector("text=What should be found?")
        assert page.evaluate("document.activeElement.textContent") == "Say it in words"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        until(lambda: known(page, "creating"), "points are clicked")
        assert page.evaluate(FOCUSED) == "stage"
        watched.close()


def test_a_drawer_that_closes_hands_the_focus_to_the_picture(browser, serve):
    with serve() as (url, _):
        watched = Watched(browser, url, viewport={"width": 390, "height": 844})
        page = watched.open()
        page.set_input_files("#file-input", pictures(2))
        page.wait_for_selector("text=What should be found?")
        for leave in ("Escape", "Enter"):
            page.focus("#show-list")
            page.keyboard.press("Enter")
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "row"
            page.keyboard.press(leave)
            assert page.locator("#pictures").is_hidden()
            assert page.evaluate(FOCUSED) == "stage"
        watched.close()


def test_new_points_are_added_by_a_key(tiny):
    page, folder = tiny
    is_settled(page)
    number = current(page)
    page.focus("#stage")
    page.keyboard.press("Shift+m")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.wait_for_selector("#points input:focus")
    page.keyboard.type("back")
    page.keyboard.press("Enter")
    until(lambda: "back" in label(folder, number)["points"], "the new point")
    assert page.evaluate(FOCUSED) == "stage"


def test_an_object_without_a_box_says_what_is_missing(browser, serve):
    with serve() as (url, _):
        watched = Watched(browser, url)
        page = watched.open()
        add_pictures(page, 1)
        say_points(page)
        page.wait_for_selector(".dot")
        page.keyboard.press("g")
        page.wait_for_selector("text=Draw a box; only what is inside is looked at.")
        assert known(page, "bitmap !== null"), "the picture is the same, and stays"
        page.keyboard.press("Escape")
        page.wait_for_selector("#stage-hint >> text=No box yet")
        watched.close()


def test_the_view_follows_the_point_that_the_keyboard_reaches(tiny):
    """In an enlarged picture it may lie beside the stage; the browser must not move what lies on the stage instead."""
    page, folder = tiny
    is_settled(page)
    number = current(page)
    hold_picture(page)
    page.evaluate(
        """async () => {
          const [{ set, state }, { zoom }, { draw }] =
            [await import("./state.js"), await import("./view.js"), await import("./stage.js")];
          const points = { nose: [10, 10, 0.9, 1], "left ear": [300, 20, 0.9, 1], "right ear": [20, 230, 0.9, 1],
            "tail tip": [310, 230, 0.9, 1] };
          set({ picture: { ...state.picture, answer: { ...state.picture.answer, points } } });
          zoom(6, 0, 0);
          draw();
        }"""
    )
    stage = page.locator("#stage").bounding_box()

    def in_sight(name):
        x, y = place_of(page, name)
        inside = stage["x"] < x < stage["x"] + stage["width"] and stage["y"] < y < stage["y"] + stage["height"]
        return inside and page.evaluate("[stage.scrollLeft, stage.scrollTop]") == [0, 0]

    page.focus("#stage")
    for name in ("nose", "left ear", "right ear", "tail tip"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.key") == name

        until(lambda key=name: in_sight(key), f"{name} is in sight")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    is_saved(page)
    assert np.allclose(image_place(page, "tail tip"), label(folder, number)["points"]["tail tip"][:2], atol=0.5)


def test_a_point_that_has_no_place_any_longer_hands_the_focus_to_the_picture(tiny):
    page, folder = tiny
    is_settled(page)
    number = current(page)
    hold_picture(page)
    saves = []  # what the server answers to one has the model's places again
    page.route(f"**/v1/project/pictures/{number}/label", lambda route: saves.append(route))
    page.evaluate(
        """import("./state.js").then(({ set, state }) => {
          const { label, answer } = state.picture;
          const marked = { label: { ...label, points: { nose: [40, 50, 2] } }, answer: { ...answer, points: {} } };
          set({ picture: { ...state.picture, ...marked } });
        })"""
    )
    page.focus('.dot[data-key="nose"]')
    page.keyboard.press("a")
    page.wait_for_selector('.dot[data-key="nose"]', state="detached")
    assert page.evaluate(FOCUSED) == "stage"
    until(lambda: page.wait_for_timeout(20) or saves, "the label is sent")
    saves[0].continue_()
    is_saved(page)
    assert label(folder, number)["points"]["nose"][2] == 0


def test_names_are_written_one_after_the_other_without_losing_the_place(tiny):
    """A row is another one when its point has its new name, or is taken out; the focus stays where it was."""
    page, _ = tiny
    is_settled(page)
    held = []
    page.route("**/v1/project/category", lambda route: held.append(route))
    page.fill('#points [data-key="nose"] input', "snout")
    page.keyboard.press("Tab")
    at_row = "document.activeElement.closest('li')?.dataset.key"
    assert page.evaluate(at_row) == "nose"
    until(lambda: page.wait_for_timeout(20) or held, "the new name is sent")
    held[0].continue_()
    page.wait_for_selector('#points [data-key="snout"]')
    assert page.evaluate(at_row) == "snout"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "snout is visible"
    page.unroute_all()
    page.focus('#points [data-key="left ear"] input')
    page.get_by_label("Remove the point left ear").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector('#points [data-key="left ear"]', state="detached")
    assert page.evaluate(at_row) == "right ear" and page.evaluate(FOCUSED) == "name", "the same key removes no other"


def test_what_is_counted_is_heard_when_it_begins_and_when_it_ends(tiny):
    """A number that goes up each second would be read out each second, and a save with each point that is moved."""
    page, _ = tiny
    is_settled(page)
    assert page.text_content("[role=status]#progress-heard") == "Everything is saved."
    assert page.get_attribute("#progress", "role") is None
    said = page.evaluate(
        """async (steps) => {
          const { at, set, state } = await import("./state.js");
          return steps.map(([saving, now, answered]) => {
            const answers = { ...state.project.answers, state: now, answered, total: 3 };
            set({ saving, project: { ...state.project, answers } });
            return [at("progress").textContent, at("progress-heard").textContent];
          });
        }""",
        [["saving", "idle", 3], ["saved", "working", 1], ["saved", "working", 2], ["saved", "idle", 3]],
    )
    assert said == [
        ["Saving …", "Everything is saved."],
        ["Answering: 1 of 3", "Pictures are being answered."],
        ["Answering: 2 of 3", "Pictures are being answered."],
        ["Everything is saved.", "Everything is saved."],
    ]


def test_a_hint_is_not_put_there_again_with_each_move_of_a_point(tiny):
    """It may be read out again then."""
    page, _ = tiny
    is_settled(page)
    page.focus("#stage")
    page.keyboard.press("b")
    page.wait_for_selector("#stage-hint >> text=Draw a box")
    stays = """async () => {
      const { at, set, state } = await import("./state.js");
      const before = at("stage-hint").firstChild;
      set({ picture: state.picture });
      return before === at("stage-hint").firstChild;
    }"""
    assert page.evaluate(stays)
