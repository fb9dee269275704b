"""A marked place: which pixels a ring has, exactly."""

import numpy as np
import pytest
import tiny

from anykeypoint.drawing.marking import RED, ring


def test_a_ring_is_these_pixels():
    marked = ring(np.zeros((7, 7, 3), np.uint8), (3.5, 3.5), radius=2, width=1)
    drawn = ["".join(".#"[int(pixel[0] == 255)] for pixel in row) for row in marked]
    assert drawn == [".......", "..###..", ".#...#.", ".#...#.", ".#...#.", "..###..", "......."]
    assert {tuple(pixel) for row in marked for pixel in row.tolist()} == {(0, 0, 0), RED}


def test_all_other_pixels_stay_and_so_does_the_picture_that_was_given():
    picture = tiny.picture(40, 30)
    before = picture.copy()
    marked = ring(picture, (12.0, 9.5), radius=6, width=2, colour=(0, 0, 255))
    changed = (marked != before).any(axis=2)
    rows, columns = np.nonzero(changed)
    distance = np.hypot(columns + 0.5 - 12, rows + 0.5 - 9.5)
    assert (distance >= 5).all() and (distance <= 7).all() and changed.sum() > 50
    assert (marked[changed] == (0, 0, 255)).all() and (picture == before).all()


@pytest.mark.parametrize("point", [(0.0, 0.0), (-3.0, 20.0), (200.0, 200.0)])
def test_a_ring_is_cut_off_at_the_borders(point):
    picture = np.zeros((30, 40, 3), np.uint8)
    marked = ring(picture, point, radius=5, width=2)
    larger = ring(np.zeros((70, 80, 3), np.uint8), (point[0] + 20, point[1] + 20), radius=5, width=2)
    assert (marked == larger[20:50, 20:60]).all()
