"""What the page does against slips: it asks before it makes labels of doubtful points, and doubts words."""

import json
from dataclasses import replace

from browser import Watched
from page_steps import (
    POINTS,
    add_pictures,
    await_answers,
    current,
    drag,
    finish,
    is_saved,
    is_settled,
    known,
    label,
    open_export,
    say_points,
)
from waiting import until

DOUBTFUL = """
async (values) => {
  const { set, state, keys } = await import("./state.js");
  const points = Object.fromEntries(keys().map((key, number) => [key, [20 + 40 * number, 60, ...values[number]]]));
  set({ picture: { ...state.picture, answer: { ...state.picture.answer, points } } });
  return points;
}
"""
SURE, UNSURE, ABSENT = (0.9, 0.95), (0.2, 0.95), (0.9, 0.1)  # confidence, presence


def answer(page, *values):
    """The open picture has made-up answers, and has them still where the page fetches it again meanwhile.

    values: (confidence, presence) of each point.
    """
    points = page.evaluate(DOUBTFUL, values)

    def made_up(route):
        if route.request.method != "GET":
            return route.fallback()
        response = route.fetch()
        picture = response.json()
        return route.fulfill(response=response, json={**picture, "answer": {**picture["answer"], "points": points}})

    page.route(f"**/v1/project/pictures/{current(page)}", made_up)
    await_answers(page)
    page.evaluate(DOUBTFUL, values)  # one that came meanwhile was the server's


def ask(page):
    """Finish a picture whose points are all in doubt, so that the page asks."""
    answer(page, UNSURE, UNSURE, UNSURE, UNSURE)
    page.focus("#stage")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sure-dialog >> text=4 of 4 points")


def test_it_asks_before_most_points_of_a_picture_are_in_doubt(tiny):
    page, folder = tiny
    is_settled(page)
    number = current(page)
    answer(page, SURE, UNSURE, ABSENT, UNSURE)
    page.focus("#stage")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sure-dialog >> text=3 of 4 points are absent or unsure")
    assert page.locator("#sure-dialog button:not([hidden])").count() == 2
    page.keyboard.press("Enter")  # the same key again, by the same slip
    page.wait_for_selector("#sure-dialog", state="hidden")
    assert current(page) == number and not label(folder, number).get("done")
    page.click("#finish")
    page.wait_for_selector("#sure-dialog", state="visible")
    page.keyboard.press("n")
    page.wait_for_selector("#sure-dialog", state="hidden")
    assert current(page) == number and not label(folder, number).get("done")
    page.keyboard.press("e")
    page.wait_for_selector("#sure-dialog", state="visible")
    page.keyboard.press("y")
    until(lambda: label(folder, number).get("example"), "it is an example")
    until(lambda: current(page) != number, "the next picture")


def test_it_does_not_ask_where_most_points_are_sure_or_set_by_the_person(tiny):
    page, folder = tiny
    is_settled(page)
    number = current(page)
    answer(page, SURE, SURE, UNSURE, ABSENT)
    page.focus("#stage")
    page.keyboard.press("Enter")
    until(lambda: label(folder, number).get("done"), "half of them are sure")
    until(lambda: current(page) != number, "the next picture")
    number = current(page)
    answer(page, UNSURE, UNSURE, UNSURE, UNSURE)
    for name in ("nose", "left ear"):
        page.locator(f'#points [data-key="{name}"]').get_by_label(f"{name} is absent").click()
    is_saved(page)
    answer(page, UNSURE, UNSURE, UNSURE, UNSURE)
    page.focus("#stage")
    page.keyboard.press("Enter")
    until(lambda: label(folder, number).get("done"), "the person set half of them")


def test_words_that_are_not_understood_are_doubted_beside_their_line(browser, serve, tiny_model, monkeypatch):
    """The sentences of the command line, while the points are written and beside each point afterwards."""
    encoder = tiny_model.text_encoder
    monkeypatch.setattr(encoder, "kind", replace(encoder.kind, english=True))
    with serve() as (url, _):
        watched = Watched(browser, url)
        page = watched.open()
        add_pictures(page, 1)
        page.click("#open-category")
        page.locator("#points-text").press_sequentially("nose\nlinkes Ohr\nlegt aer: what hears\nrigth ear")
        page.wait_for_selector("#points-doubts li >> nth=1")
        said = page.locator("#points-doubts li").all_inner_texts()
        assert said[0].startswith("linkes Ohr Not in English, it seems: 'linkes Ohr'")
        assert any(one.startswith("rigth ear Misspelt, it seems: 'rigth' for 'right'") for one in said)
        page.fill("#points-text", "nose\nrigth ear")
        until(lambda: page.locator("#points-doubts li").count() == 1, "the line that is mended is no longer doubted")
        page.click("text=Look for these")
        page.wait_for_selector("#category-dialog", state="hidden")
        beside = page.locator('#points [data-key="rigth ear"] .doubt')
        assert beside.inner_text().startswith("Misspelt, it seems: 'rigth' for 'right'")
        assert page.locator('#points [data-key="nose"] .doubt').is_hidden()
        name = page.locator('#points [data-key="rigth ear"] input')
        name.fill("right ear")
        name.press("Enter")
        page.wait_for_selector('#points [data-key="right ear"]')
        assert page.locator(".doubt:visible").count() == 0
        watched.close()


def test_marks_of_points_whose_lines_were_written_anew_are_said_to_be_kept(tiny):
    """It looks like a renaming, but is another point, of which finished pictures have nothing."""
    page, folder = tiny
    is_settled(page)
    number = current(page)
    drag(page, "nose", 20, 15)
    drag(page, "left ear", 20, 15)
    is_saved(page)
    said = page.locator("#refused .refusal")
    say_points(page, "snout: the tip\nleft ear\nright ear\nend of the tail")
    page.wait_for_selector("#refused >> text=“nose” is no longer looked for")
    assert said.count() == 1 and "what 1 picture had of it is kept, and comes back with that name" in said.inner_text()
    said.get_by_role("button").click()
    say_points(page, "snout\nright ear")
    page.wait_for_selector("#refused >> text=“left ear” is no longer looked for")
    said.get_by_role("button").click()
    say_points(page, POINTS)
    page.wait_for_selector('.dot.mine[data-key="nose"]')
    page.wait_for_selector('.dot.mine[data-key="left ear"]')
    assert said.count() == 0 and set(label(folder, number)["points"]) == {"nose", "left ear"}
    say_points(page, "snout\nright ear")
    page.wait_for_selector("#refused >> text=“nose”, “left ear” are no longer looked for; what 1 picture had of them")


def test_an_export_does_not_call_answers_labelled(tiny):
    page, _ = tiny
    open_export(page)
    page.wait_for_selector("#export-look >> text=1 labelled object →")
    page.check("#export-answers")
    page.wait_for_selector("#export-look >> text=3 labelled or answered objects →")


def test_finished_pictures_do_not_come_again_before_they_are_saved(tiny):
    page, folder = tiny
    is_settled(page)
    page.focus("#stage")
    seen = []
    for _ in range(3):
        seen.append(current(page))
        finish(page)
        until(lambda: current(page) != seen[-1], "the next picture")
        until(lambda: known(page, "bitmap !== null"), "its pixels")  # before, a key that is held down finishes none
    assert sorted(seen) == [1, 2, 3]
    is_saved(page)
    assert all(json.loads((folder / "labels" / f"{n:06d}.json").read_text())["done"] for n in seen)


def test_a_key_that_answers_the_question_does_nothing_else(tiny):
    """N is "look again" there, and "names on or off" on the page."""
    page, _ = tiny
    is_settled(page)
    ask(page)
    page.keyboard.press("n")
    page.wait_for_selector("#sure-dialog", state="hidden")
    assert page.locator("#toggle-names").is_checked()


def test_a_key_that_is_held_down_finishes_one_picture(tiny):
    """The next one was not looked at yet."""
    page, folder = tiny
    is_settled(page)
    first = current(page)
    answer(page, SURE, SURE, SURE, SURE)
    page.focus("#stage")
    page.keyboard.down("Enter")
    until(lambda: current(page) != first and known(page, "bitmap !== null"), "the next picture")
    second = current(page)
    answer(page, SURE, SURE, SURE, SURE)
    page.wait_for_timeout(200)
    page.keyboard.down("Enter")  # what a keyboard sends while the key is held
    page.keyboard.up("Enter")
    is_saved(page)
    page.wait_for_timeout(200)
    assert current(page) == second and not label(folder, second).get("done") and label(folder, first)["done"]


def test_a_picture_that_changes_while_the_question_is_open_is_looked_at_again(tiny):
    """What is finished is what the person saw: another window's change is neither overwritten nor finished unseen."""
    page, folder = tiny
    is_settled(page)
    number = current(page)
    ask(page)
    page.evaluate(
        """(id) => fetch(`/v1/project/pictures/${id}/label`, { method: "PUT", headers:
          { "Content-Type": "application/json" }, body: JSON.stringify({ points: { nose: [200, 100, 1] } }) })""",
        number,
    )
    page.evaluate("document.getElementById('try-now').click()")  # looks at the server now
    until(lambda: known(page, "picture.label.points.nose") == [200, 100, 1], "the change of the other window")
    page.keyboard.press("y")
    page.wait_for_selector("#said >> text=changed while you were asked")
    is_saved(page)
    assert label(folder, number)["points"] == {"nose": [200, 100, 1]} and not label(folder, number)["done"]
    assert current(page) == number and known(page, "picture.label.points") == {"nose": [200, 100, 1]}


def test_the_answer_to_the_question_is_of_the_picture_that_was_asked_about(tiny):
    """Another one that was clicked before may come while the question is open."""
    page, folder = tiny
    is_settled(page)
    first = current(page)
    second = next(one for one in (1, 2, 3) if one != first)
    held = []
    page.route(f"**/v1/project/pictures/{second}", lambda route: held.append(route))
    answer(page, UNSURE, UNSURE, UNSURE, UNSURE)
    page.evaluate("(id) => { import('./pictures.js').then(({ open }) => open(id)); }", second)
    until(lambda: page.wait_for_timeout(20) or held, "the other picture is asked for")
    page.focus("#stage")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sure-dialog >> text=4 of 4 points")
    held[0].continue_()
    until(lambda: current(page) == second, "the other picture")
    page.keyboard.press("y")
    page.wait_for_selector("#said >> text=changed while you were asked")
    is_saved(page)
    assert not label(folder, first).get("done") and not label(folder, second).get("done")
    assert known(page, "picture.label.points") == {}


def test_a_point_that_was_taken_out_by_a_slip_is_put_back_with_its_labels_and_edges(tiny):
    page, folder = tiny
    is_settled(page)
    number = current(page)
    joined = "import('./placing.js').then(({ toggleEdge }) => Promise.all(%s.map((pair) => toggleEdge(...pair))))"
    page.evaluate(joined % json.dumps([["left ear", "right ear"], ["right ear", "nose"]]))
    drag(page, "left ear", 25, 15)
    is_saved(page)
    before, marked = known(page, "project.category"), label(folder, number)["points"]["left ear"]
    assert len(before["skeleton"]) == 2 and before["keys"].index("left ear") < len(before["keys"]) - 1
    page.focus('#points [data-key="left ear"] input')
    page.get_by_label("Remove the point left ear").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#said >> text=“left ear” is taken out of all pictures.")
    assert page.locator('.dot[data-key="left ear"]').count() == 0
    page.evaluate(joined % json.dumps([["nose", "tail tip"]]))
    page.get_by_role("button", name="Put it back").click()
    page.wait_for_selector('.dot.mine[data-key="left ear"]')
    after = known(page, "project.category")
    assert after["keys"] == before["keys"] and page.inner_text("#said") == ""
    nose, tail = (before["keys"].index(one) for one in ("nose", "tail tip"))
    edges = [{*edge} for edge in after["skeleton"]]
    assert all({*edge} in edges for edge in [*before["skeleton"], [nose, tail]]) and len(edges) == 3
    assert label(folder, number)["points"]["left ear"] == marked
    assert page.evaluate("document.activeElement.id") == "stage", "Enter finishes the picture"
