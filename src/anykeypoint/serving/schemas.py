"""What requests and answers hold, as JSON. Unknown keys and values of other types are refused."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ..category import MAX_KEYPOINTS, MAX_TEXT
from .server_limits import MAX_BOXES, MAX_CELLS, MAX_EXAMPLES, MAX_LIST, MAX_POINTS

Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Identity = Annotated[str, Field(min_length=1, max_length=64)]
Place = Annotated[list[Number], Field(min_length=2, max_length=2, description="x, y in image pixels")]
BoxNumbers = Annotated[list[Number], Field(min_length=4, max_length=4, description="x, y, w, h in image pixels")]
Edge = Annotated[list[Annotated[int, Field(ge=0, lt=MAX_KEYPOINTS)]], Field(min_length=2, max_length=2)]
Edges = Annotated[list[Edge], Field(max_length=4 * MAX_KEYPOINTS)]


class Strict(BaseModel):
    """Base of what requests hold."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class NamedPoint(Strict):
    """A keypoint in words."""

    name: Name
    description: Text = ""
    label: Text = ""
    phrase: Text = ""


class Definition(Strict):
    """A category as the library's files have it."""

    name: Name = "object"
    noun: Name | None = None
    source: Text | None = None
    keypoints: Annotated[list[Name | NamedPoint], Field(min_length=1, max_length=MAX_KEYPOINTS)]
    skeleton: Edges = []
    pairs: Edges | None = None
    alone: Annotated[list[Annotated[int, Field(ge=0, lt=MAX_KEYPOINTS)]], Field(max_length=MAX_KEYPOINTS)] = []


class InWords(Strict):
    """Which keypoints are meant: one of category, keypoints and definition."""

    model: Name | None = Field(None, description="one of the models of /readyz; None takes the first")
    category: Name | None = Field(None, description="a name of GET /v1/categories, or mp100/ID")
    keypoints: Annotated[str, Field(min_length=1, max_length=MAX_LIST)] | None = Field(
        None, description="'left ear tip; nose: the tip of the nose', or one a line"
    )
    definition: Definition | None = None
    noun: Name | None = Field(None, description="the word for the object")


class MarkedPoints(Strict):
    """The points of an example by name; null where one is not marked."""

    points: Annotated[dict[Name, Place | None], Field(min_length=1, max_length=MAX_KEYPOINTS)]
    box: BoxNumbers | None = None
    category: Name = "object"
    skeleton: Edges = []


class PredictRequest(InWords):
    """Where are these keypoints? Of the picture `image`, or of one that was kept (`image_id`)."""

    image_id: Identity | None = None
    boxes: Annotated[list[BoxNumbers], Field(min_length=1, max_length=MAX_BOXES)] | None = Field(
        None, description="an answer for each; null takes the whole picture as one object"
    )
    examples: Annotated[list[Identity], Field(max_length=MAX_EXAMPLES)] = Field(
        [], description="ids of POST /v1/examples"
    )
    marked: Annotated[list[MarkedPoints], Field(max_length=MAX_EXAMPLES)] = Field(
        [], description="the points in the uploaded pictures `example`, in their order"
    )
    words: bool | None = Field(None, description="whether names and descriptions are read; null: where the model can")
    density: bool = Field(False, description="also give the density of each point, its covariance and entropy")
    grid: Annotated[int, Field(ge=1, le=MAX_CELLS)] | None = Field(
        None, description="cells on a side of a density; null takes the model's own"
    )
    fine: bool | None = Field(None, description="a second look, with an example; null as the model's config says")
    mirror: bool = Field(False, description="ask about the mirrored picture too")
    presence: Annotated[float, Field(ge=0, le=1)] = Field(0.5, description="from which a point counts as present")


class IdentifyRequest(InWords):
    """What is at these points? Of the picture `image`, or of one that was kept (`image_id`)."""

    image_id: Identity | None = None
    points: Annotated[list[Place], Field(min_length=1, max_length=MAX_POINTS)]
    box: BoxNumbers | None = None
    called: Name | None = None


class ExampleRequest(MarkedPoints):
    """Keep an example: the picture `image`, or one that was kept (`image_id`), and its points."""

    image_id: Identity | None = None


# --- answers -------------------------------------------------------------------------------------------------------


class PoseBody(BaseModel):
    """A pose as `Pose.to_dict` has it; `Pose.from_dict` reads it back."""

    image: str
    image_size: list[int]
    category: str
    box: list[float] | None
    names: list[str]
    xy: list[list[float | None]]
    confidence: list[float | None]
    presence: list[float | None]
    present: list[bool]
    skeleton: list[list[int]]
    density: dict[str, Any] | None
    covariance: list[Any] | None
    entropy: list[float | None] | None


class PredictAnswer(BaseModel):
    """One pose for each box, in order."""

    model: str
    model_hash: str
    image_size: list[int]
    notes: list[str] = Field(description="sentences about how the words were read")
    poses: list[PoseBody]


class PointName(BaseModel):
    """The name of a point."""

    name: str
    confidence: float
    probabilities: dict[str, float] | None


class IdentifyAnswer(BaseModel):
    """One name for each point, in order."""

    model: str
    model_hash: str
    image_size: list[int]
    notes: list[str]
    names: list[PointName]


class KeptImage(BaseModel):
    """A picture that is kept."""

    image_id: str
    image_size: list[int]
    expires_in: float = Field(description="seconds since it was last used")


class KeptExample(BaseModel):
    """An example that is kept."""

    example_id: str
    names: list[str]
    image_size: list[int]
    expires_in: float = Field(description="seconds since it was last used")


class CategoryBody(BaseModel):
    """A category of the library."""

    name: str
    noun: str
    keypoints: list[str]
    skeleton: list[list[int]]


class CategoriesAnswer(BaseModel):
    """The library's categories."""

    categories: list[CategoryBody]


class ReadyAnswer(BaseModel):
    """How far the server is: state is loading, ready or failed."""

    state: str
    step: str
    model: str
    loaded: int
    models: int
    seconds: float
    names: list[str]
    hashes: dict[str, str]


class HealthAnswer(BaseModel):
    """The server is alive."""

    alive: bool


class ErrorAnswer(BaseModel):
    """A refusal."""

    error: str = Field(description="one sentence")
    request_id: str
    field: str | None = Field(None, description="the part of the request that is to blame")
