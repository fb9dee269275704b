"""Several objects of one picture on the page, each with its box and points."""

import json

import numpy as np
from browser import Watched
from page_steps import (
    OTHER,
    current,
    drag,
    finish,
    image_place,
    is_saved,
    is_settled,
    known,
    label,
    pictures,
    say_points,
    view_of,
)
from waiting import until


def draw_box(page, x0, y0, x1, y1) -> None:
    """Drag from corner to corner, in pixels of the picture."""
    view = view_of(page)
    page.mouse.move(view["x"] + x0 * view["scale"], view["y"] + y0 * view["scale"])
    page.mouse.down()
    page.mouse.move(view["x"] + x1 * view["scale"], view["y"] + y1 * view["scale"], steps=3)
    page.mouse.up()


def test_a_second_object_has_a_box_and_points_of_its_own(browser, serve):
    with serve() as (url, folder):
        watched = Watched(browser, url)
        page = watched.open()
        page.set_input_files("#file-input", pictures(1))
        say_points(page)
        page.wait_for_selector(".dot")
        until(lambda: known(page, "bitmap !== null"), "its pixels")
        drag(page, "nose", 20, 15)
        is_saved(page)
        assert page.locator("#objects").is_hidden()
        page.keyboard.press("g")
        until(lambda: current(page) == 2, "the second object")
        until(lambda: known(page, "mode") == "box" and known(page, "bitmap !== null"), "its box can be drawn")
        whole = until(lambda: known(page, "picture.answer?.asked"), "an answer in the whole picture")
        draw_box(page, 160, 40, 300, 200)
        is_saved(page)
        until(
            lambda: known(page, "picture.answer?.asked") not in (None, whole), "the answer in the box moves the points"
        )
        drag(page, "left ear", 15, 10)
        is_saved(page)
        assert np.allclose(label(folder, 2)["box"], [160, 40, 140, 160], atol=2)
        assert set(label(folder, 1)["points"]) == {"nose"} and set(label(folder, 2)["points"]) == {"left ear"}
        ear = image_place(page, "left ear")
        until(lambda: known(page, "others.map((one) => one.id)") == [1], "the first one is drawn too")
        assert page.locator("#list .row-name").all_inner_texts().count("a.png · 2") == 1
        page.locator("#objects").get_by_label("Object 1").click()
        until(lambda: current(page) == 1, "the first object")
        written = json.loads((folder / "labels.json").read_text())
        assert [one["file_name"] for one in written["images"]] == ["a.png"]
        assert [one["image_id"] for one in written["annotations"]] == [written["images"][0]["id"]] * 2
        assert np.allclose(written["annotations"][1]["keypoints"][3:5], ear, atol=1.5)

        page.locator("#objects").get_by_label("Object 2").click()
        page.click("text=No such object")
        until(lambda: label(folder, 2).get("done"), "it is dismissed")
        until(lambda: current(page) == 1, "the first object")
        until(lambda: len(json.loads((folder / "labels.json").read_text())["annotations"]) == 1, "no export has it")
        page.reload()
        page.wait_for_selector("#list li >> nth=1")
        watched.close()


def test_the_other_objects_of_a_picture_come_before_a_less_sure_picture(tiny):
    page, folder = tiny
    is_settled(page)
    *unsure, surest = [int(one) for one in known(page, "list.map((one) => one.id)")]
    page.evaluate(OTHER % surest)
    until(lambda: current(page) == surest, "the picture that the model is surest of")
    page.keyboard.press("g")
    until(lambda: known(page, "picture.object") == 2 and known(page, "mode") == "box", "its second object")
    second = current(page)
    draw_box(page, 40, 40, 280, 200)
    is_saved(page)
    is_settled(page)
    page.evaluate(OTHER % surest)
    until(lambda: current(page) == surest, "its first object")
    before = [one for one in known(page, "list.map((one) => one.id)") if one not in (surest, second)]
    assert sorted(before) == sorted(unsure) and len(before) == 2
    assert known(page, "list[0].id") in unsure, "the model is less sure of another picture"
    finish(page)
    until(lambda: current(page) != surest, "another picture or object comes")
    assert current(page) == second
    page.wait_for_selector(".dot")
    finish(page)
    until(lambda: current(page) == before[0], "then the least sure picture")
    is_saved(page)
    assert label(folder, surest)["done"] and label(folder, second)["done"]
