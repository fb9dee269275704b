"""The page in a real browser, by mouse."""

import base64
import json

import numpy as np
from browser import Watched
from page_steps import (
    add_pictures,
    click_image,
    current,
    drag,
    finish,
    image_place,
    is_saved,
    is_settled,
    label,
    pictures,
    place_of,
    say_points,
    view_of,
)
from waiting import until

DROP_FOLDER = """
async ([names, texts]) => {
  const { send } = await import("./uploading.js");
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  await send(names.map((name, place) => [new File([bytes(texts[place])], name), name]));
}
"""


def test_a_correction_is_saved_undone_and_made_again(tiny):
    page, folder = tiny
    number = current(page)
    before = image_place(page, "nose")
    drag(page, "nose", 40, 30)
    is_saved(page)
    after = label(folder, number)["points"]["nose"]
    assert np.allclose(after[:2], image_place(page, "nose"), atol=0.6) and after[2] == 2
    page.click("#undo")
    is_saved(page)
    assert label(folder, number)["points"] == {} and np.allclose(image_place(page, "nose"), before, atol=0.6)
    page.click("#redo")
    is_saved(page)
    assert label(folder, number)["points"]["nose"] == after
    row = page.locator('#points [data-key="left ear"]')
    row.get_by_label("left ear is hidden").click()
    page.locator('#points [data-key="tail tip"]').get_by_label("tail tip is absent").click()
    is_saved(page)
    points = label(folder, number)["points"]
    assert points["left ear"][2] == 1 and points["tail tip"] == [None, None, 0]
    assert page.locator(".dot.hidden-point").count() == 1 and page.locator(".dot.absent-point").count() >= 1


def test_an_example_has_the_others_answered_anew(tiny):
    page, folder = tiny
    first = current(page)
    until(lambda: len(list((folder / "answers").glob("*.json"))) == 3, "answers from words")
    finish(page, "e")
    until(lambda: current(page) != first, "the next picture")

    def answered_by():
        answers = [json.loads(file.read_text()) for file in (folder / "answers").glob("*.json")]
        return sorted(one["by"] for one in answers)

    name = page.locator(f'#list li[data-id="{first}"] .row-name').inner_text()
    until(lambda: answered_by() == ["words", f"words and example {name}", f"words and example {name}"], "new answers")
    page.wait_for_selector(f"text=Answered from words and example {name}.")
    assert page.locator("#list li.example").count() == 1
    assert label(folder, first)["example"] and len(label(folder, first)["points"]) == 4
    for finished in (2, 3):
        number = current(page)
        finish(page)
        page.wait_for_selector(f"text={finished} of 3 finished")
        until(lambda number=number: current(page) != number, "the next picture")
        until(lambda: page.evaluate("import('./state.js').then(({ state }) => state.bitmap !== null)"), "its pixels")


def test_the_list_has_the_least_sure_first(tiny):
    page, folder = tiny
    page.wait_for_selector("#list li.answered >> nth=2")
    is_settled(page)
    page.mouse.move(700, 400)
    doubts = {int(file.stem): json.loads(file.read_text())["doubt"] for file in (folder / "answers").glob("*.json")}
    wanted = sorted(doubts, key=lambda number: -round(doubts[number], 4))
    until(lambda: page.locator("#list li").evaluate_all("all => all.map((one) => +one.dataset.id)") == wanted, "order")


def test_the_next_picture_is_one_that_was_not_looked_at_yet(tiny):
    page, _ = tiny
    is_settled(page)
    seen = [current(page)]
    for _ in range(5):
        page.keyboard.press("PageDown")
        until(lambda: current(page) != seen[-1], "the next picture")
        seen.append(current(page))
    assert set(seen[:3]) == {1, 2, 3}, "none is passed over"
    assert seen[3:] == seen[:3], "then the one that was looked at longest ago"


def test_a_picture_that_is_gone_does_not_stand_in_the_way(browser, serve):
    """It cannot be answered, so it is the least sure one; after each finished picture it would come again."""
    with serve() as (url, folder):
        watched = Watched(browser, url)
        watched.allowed.append("Failed to load resource")
        page = watched.open()
        add_pictures(page)
        (folder / "images" / "c.png").rename(folder / "images" / "c.away")
        gone = int(page.locator('#list li:has(button[title="c.png"])').get_attribute("data-id"))
        say_points(page)
        page.wait_for_selector("#list li.failed")
        if current(page) == gone:
            page.keyboard.press("PageDown")
        until(lambda: current(page) != gone, "one that is there")
        first = current(page)
        page.wait_for_selector("#list li.answered >> nth=1")
        page.wait_for_selector(".dot")
        finish(page)
        page.wait_for_selector("text=1 of 3 finished")
        until(lambda: current(page) not in (first, gone), "the other one that is there")
        watched.close()


def test_enter_finishes_the_picture_right_after_the_points_were_said(tiny):
    page, folder = tiny
    say_points(page, "nose\ntail")
    page.wait_for_selector('.dot[data-key="tail"]')
    number = current(page)
    finish(page)
    until(lambda: (folder / "labels" / f"{number:06d}.json").exists(), "it is saved")
    assert label(folder, number)["done"]
    assert page.locator("#category-dialog").is_hidden()


def test_a_name_that_is_refused_is_put_back(tiny):
    page, _ = tiny
    page.watched.allowed.append("Failed to load resource")
    name = page.locator('#points [data-key="left ear"] input')
    name.fill("right ear")
    name.press("Enter")
    page.wait_for_selector("#said >> text=Two keypoints")
    until(lambda: name.input_value() == "left ear", "the name that it has")


def test_files_beside_the_pictures_of_a_folder_are_one_sentence(browser, serve):
    with serve() as (url, _):
        watched = Watched(browser, url)
        page = watched.open()
        page.wait_for_selector("#welcome h2")
        files = [*pictures(2), *({"name": f"{n}.json", "buffer": b"{}"} for n in range(5))]
        names = [f"foxes/{one['name']}" for one in files]
        page.evaluate(DROP_FOLDER, [names, [base64.b64encode(one["buffer"]).decode() for one in files]])
        page.wait_for_selector(".row >> nth=1")
        assert page.locator("#refused .refusal").count() == 1
        assert "5 files" in page.inner_text("#refused") and "foxes/0.json" in page.inner_text("#refused")
        watched.close()


def test_a_page_that_is_opened_again_shows_the_picture_that_is_chosen(tiny):
    """The page opens the least sure picture by itself; a click meanwhile is not undone, and the pixels come."""
    page, _ = tiny
    is_settled(page)
    page.reload()
    last = page.locator("#list li >> nth=2")
    number = int(last.get_attribute("data-id"))
    last.locator("button").click()
    until(lambda: page.evaluate("import('./state.js').then(({ state }) => state.bitmap !== null)"), "its pixels")
    page.wait_for_timeout(300)
    assert current(page) == number


def test_a_density_is_drawn_while_a_point_is_hovered_over(tiny):
    page, _ = tiny
    is_settled(page)

    def drawn() -> str:
        return page.evaluate("document.getElementById('canvas').toDataURL()")

    page.mouse.move(5, 5)
    before = drawn()
    page.mouse.move(*place_of(page, "nose"))
    until(lambda: drawn() != before, "the density")
    page.mouse.move(5, 5)
    until(lambda: drawn() == before, "the density is gone")


def test_a_click_asks_what_is_there_and_puts_the_point(tiny):
    page, folder = tiny
    number = current(page)
    click_image(page, (160, 120))
    page.wait_for_selector("#ask .choice >> nth=2")
    name = page.locator("#ask .choice >> nth=1").locator("span").first.inner_text()
    page.locator("#ask .choice >> nth=1").click()
    is_saved(page)
    assert np.allclose(label(folder, number)["points"][name][:2], (160, 120), atol=1.5)
    assert page.locator("#ask").is_hidden()


def test_a_box_is_drawn_and_answered(tiny):
    page, folder = tiny
    number = current(page)
    is_settled(page)
    before = json.loads((folder / "answers" / f"{number:06d}.json").read_text())["asked"]
    page.click("#mode-box")
    view = view_of(page)
    page.mouse.move(view["x"] + 40 * view["scale"], view["y"] + 30 * view["scale"])
    page.mouse.down()
    page.mouse.move(view["x"] + 200 * view["scale"], view["y"] + 180 * view["scale"], steps=3)
    page.mouse.up()
    is_saved(page)
    assert np.allclose(label(folder, number)["box"], [40, 30, 160, 150], atol=1.5)
    until(lambda: json.loads((folder / "answers" / f"{number:06d}.json").read_text())["asked"] != before, "an answer")


def test_points_are_joined(tiny):
    page, folder = tiny
    page.focus("#stage")
    for key in ("Tab", "l", "Tab", "l"):
        page.keyboard.press(key)

    def edges():
        return json.loads((folder / "project.json").read_text())["category"]["skeleton"]

    until(lambda: edges() == [[0, 1]], "an edge")
    for key in ("l", "Tab", "l"):
        page.keyboard.press(key)
    until(lambda: edges() == [[0, 1], [1, 2]], "another edge")


def test_points_are_chosen_from_the_library_and_renamed(tiny):
    page, folder = tiny
    drag(page, "nose", 20, 20)
    is_saved(page)
    number = current(page)
    before = label(folder, number)["points"]["nose"]
    name = page.locator('#points [data-key="nose"] input')
    name.fill("snout")
    name.press("Enter")
    until(lambda: label(folder, number)["points"].get("snout") == before, "its label goes with it")
    page.wait_for_selector('.dot[data-key="snout"]')
    page.click("#open-category")
    page.fill("#library-search", "animal face")
    page.click("#library button >> nth=0")
    page.wait_for_selector('#points [data-key="right eye outer corner"]')
    assert label(folder, number)["points"]["snout"] == before, "labels of points that are gone are kept"


def test_known_kinds_are_listed_by_what_they_are(tiny):
    """A kind's name may mislead: the points of MP-100's amur_tiger_body are a human face's."""
    page, folder = tiny
    page.click("#open-category")
    page.wait_for_selector("#library button")

    def listed() -> list[str]:
        return page.locator("#library button").evaluate_all("all => all.map((one) => one.firstChild.textContent)")

    nouns = listed()
    assert nouns == sorted(nouns) and nouns[0] == "animal" and nouns.count("human face") == 2
    assert not any("tiger" in noun for noun in nouns)
    for word in ("dog", "car", "hand", "honey bee"):
        page.fill("#library-search", word)
        assert listed()[0] == word
    page.fill("#library-search", "fox")
    page.click("#library button >> nth=0")
    page.wait_for_selector("#category-dialog", state="hidden")
    assert json.loads((folder / "project.json").read_text())["category"]["noun"] == "fox"
