"""Which missing pictures of a project are which found ones, against the plain definition."""

from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.labelling.moved import FoundPicture, found_again
from anykeypoint.labelling.records import ProjectPicture

SIZE = (60, 40)


class CountedMark(str):
    """A mark that counts how often it is compared with another one."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        CountedMark.compared += 1
        return str.__eq__(self, other)


def plain(missing, found):
    """Each missing picture is compared with all others."""
    places = {}
    for picture in missing:
        alike = [one for one in found if picture.mark and one.mark == picture.mark]
        twins = [other for other in missing if other.mark == picture.mark]
        if len(alike) > 1 or len(twins) > 1:
            last = PurePosixPath(picture.name).name
            alike = [one for one in alike if PurePosixPath(one.name).name == last]
            twins = [other for other in twins if PurePosixPath(other.name).name == last]
        if len(alike) == 1 and len(twins) == 1:
            places[picture.id] = alike[0].file
    return places


pictures = st.lists(st.tuples(st.sampled_from(["", "m1", "m2", "m3"]), st.sampled_from(["a", "b", "x/a"])), max_size=6)


@given(pictures, pictures)
def test_the_same_pictures_are_found_as_when_all_are_compared(gone, there):
    missing = [ProjectPicture(i, f"/old/{i}", name, SIZE, mark=mark) for i, (mark, name) in enumerate(gone, start=1)]
    found = [FoundPicture(f"/new/{i}", name, SIZE, mark) for i, (mark, name) in enumerate(there)]
    assert found_again(missing, found) == plain(missing, found)


def test_a_folder_that_moved_is_found_without_comparing_each_picture_with_all_others():
    count = 200
    missing = [ProjectPicture(i, f"/old/{i}", f"{i}", SIZE, mark=CountedMark(i)) for i in range(1, count + 1)]
    found = [FoundPicture(f"/new/{i}", f"{i}", SIZE, CountedMark(i)) for i in range(1, count + 1)]
    CountedMark.compared = 0
    assert found_again(missing, found) == {i: f"/new/{i}" for i in range(1, count + 1)}
    assert CountedMark.compared < 20 * count
