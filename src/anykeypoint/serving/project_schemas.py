"""What requests of a project hold, as JSON. Unknown keys and values of other types are refused."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..category import MAX_KEYPOINTS, MAX_TEXT

Number = Annotated[float, Field(ge=-1e7, le=1e7)]
PointText = Annotated[str, Field(max_length=MAX_TEXT)]
ShortText = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]

WrittenText = Annotated[str, Field(min_length=1, max_length=MAX_KEYPOINTS * (2 * MAX_TEXT + 4))]

MarkEntry = Annotated[
    list[Number | None],
    Field(min_length=3, max_length=3, description="x, y, and 2 visible, 1 hidden or 0 absent with null as x and y"),
]

Edge = Annotated[list[Annotated[int, Field(ge=0, lt=MAX_KEYPOINTS)]], Field(min_length=2, max_length=2)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PointBody(_Body):
    """A point to look for. was: its unique name until now, where it is another one."""

    name: ShortText
    description: PointText = ""
    was: PointText | None = None


class CategoryChange(_Body):
    """What to look for: a category of the library, a text of points one a line, or points.

    skeleton: edges between `points`, pairs of indices from 0; None keeps the edges between points that are still there.
    base: the unique names of the points that `points` were made of: what another window added since stays, behind them,
        and what it took out stays out; None takes `points` as they are.
    """

    library: ShortText | None = None
    text: WrittenText | None = None
    points: Annotated[list[PointBody], Field(min_length=1, max_length=MAX_KEYPOINTS)] | None = None
    noun: ShortText | None = None
    skeleton: Annotated[list[Edge], Field(max_length=4 * MAX_KEYPOINTS)] | None = None
    base: Annotated[list[PointText], Field(max_length=MAX_KEYPOINTS)] | None = None


class WrittenPoints(_Body):
    """Points in words, one a line."""

    text: WrittenText


class LabelContent(_Body):
    """What a person says of a picture; the points by their unique names."""

    points: Annotated[dict[ShortText, MarkEntry], Field(max_length=2 * MAX_KEYPOINTS)] = {}
    box: Annotated[list[Number], Field(min_length=4, max_length=4)] | None = None
    done: bool = False
    example: bool = False


class LabelBody(LabelContent):
    """A label, and what it replaces.

    base: the label that it was made of: what differs from it is saved, and what another window saved meanwhile stays.
    revision: without `base`, that of the label which is replaced; another one is refused.
    """

    base: LabelContent | None = None
    revision: Annotated[int, Field(ge=0)] = 0


class TouchedPlace(_Body):
    """A place in a picture, in pixels of the upright picture."""

    x: Number
    y: Number
