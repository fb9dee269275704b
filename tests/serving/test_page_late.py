"""Answers of the server that come late or out of order, when the person is somewhere else by then."""

import re

from page_steps import (
    OTHER,
    another,
    current,
    is_saved,
    is_settled,
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
