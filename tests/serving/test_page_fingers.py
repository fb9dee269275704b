"""Several fingers on the picture: none of them moves a point by a slip, and none is waited for that has gone."""

import pytest
from browser import Watched
from page_steps import hold_picture, is_saved, is_settled, known, label, pictures, place_of, say_points, view_of

FOUR = {"nose": [40, 50, 2], "left ear": [120, 60, 2], "right ear": [200, 120, 2], "tail tip": [280, 200, 2]}
MARKS = """
async (points) => {
  const [{ change }, { state }] = [await import("./history.js"), await import("./state.js")];
  change({ ...state.picture.label, points });
}
"""


@pytest.fixture
def touched(browser, serve):
    """A page that is touched, with a picture whose four points are marked: (page, folder)."""
    with serve() as (url, folder):
        watched = Watched(browser, url, has_touch=True)
        page = watched.open()
        page.set_input_files("#file-input", pictures(1))
        say_points(page)
        page.wait_for_selector(".dot")
        is_settled(page)
        page.evaluate(MARKS, FOUR)
        is_saved(page)
        is_settled(page)
        page.touch = page.context.new_cdp_session(page)
        yield page, folder
        watched.close()


def fingers(page, kind: str, *places) -> None:
    """The fingers that are on the screen now; touchEnd without places: all have left it."""
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
    page.touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def drag_nose(page) -> None:
    x, y = place_of(page, "nose")
    fingers(page, "touchStart", (x, y))
    fingers(page, "touchMove", (x + 20, y + 8))
    fingers(page, "touchMove", (x + 40, y + 16))
    fingers(page, "touchEnd")


def test_a_third_finger_moves_no_point(touched):
    """As of a hand that lies on the screen while two fingers enlarge the picture."""
    page, folder = touched
    view = view_of(page)
    one, two = [(view["x"] + x * view["scale"], view["y"] + y * view["scale"]) for x, y in ((60, 160), (160, 200))]
    x, y = place_of(page, "nose")
    fingers(page, "touchStart", one)
    fingers(page, "touchStart", one, two)
    fingers(page, "touchStart", one, two, (x, y))
    fingers(page, "touchMove", one, two, (x + 30, y + 30))
    fingers(page, "touchEnd")
    is_saved(page)
    assert label(folder, 1)["points"] == FOUR and not known(page, "dragging")
    drag_nose(page)
    is_saved(page)
    assert label(folder, 1)["points"]["nose"] != FOUR["nose"]


def test_a_finger_that_leaves_beside_the_picture_is_not_waited_for(touched):
    """It was on a point that is gone by then, so that the picture would not hear of it."""
    page, folder = touched
    hold_picture(page)
    view = view_of(page)
    one = (view["x"] + 60 * view["scale"], view["y"] + 160 * view["scale"])
    two = place_of(page, "tail tip")
    fingers(page, "touchStart", one)
    fingers(page, "touchStart", one, two)
    page.evaluate(
        """import("./state.js").then(({ set, state }) => {
          const { label, answer } = state.picture;
          const { "tail tip": gone, ...points } = label.points;
          set({ picture: { ...state.picture, label: { ...label, points }, answer: { ...answer, points: {} } } });
        })"""
    )
    page.wait_for_selector('.dot[data-key="tail tip"]', state="detached")
    fingers(page, "touchMove", one, (5, 300))
    fingers(page, "touchEnd")
    page.keyboard.press("0")
    drag_nose(page)
    is_saved(page)
    assert label(folder, 1)["points"]["nose"] != FOUR["nose"]
