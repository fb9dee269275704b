"""How much a server takes: every limit is a field here, with its unit."""

from dataclasses import dataclass, fields

from ..category import MAX_KEYPOINTS, MAX_TEXT
from ..configs.checks import check_positive, check_whole
from ..images.limits import MAX_PIXELS, MAX_SIDE

MAX_BOXES = 64  # boxes of a request
MAX_EXAMPLES = 16  # examples of a request
MAX_CELLS = 256  # cells on a side of a density
MAX_POINTS = MAX_KEYPOINTS  # points of a request that are to be named
MAX_LIST = MAX_KEYPOINTS * (2 * MAX_TEXT + 4)  # characters of keypoints written in one text

_SECONDS = {"gather_seconds", "queue_seconds", "body_seconds", "drain_seconds", "keep_seconds"}


@dataclass(frozen=True)
class ServerLimits:
    """The limits of one server; a request beyond one of them is refused with a sentence that states it.

    body_bytes: of a request's whole body, checked before it is read and while it is (413).
    image_pixels, image_side: of an uploaded picture, checked in its header before it is decoded (413).
    requests: how many may be under way at once, in all stages (429).
    queue: objects that wait for the model or are being computed; one more is refused (429).
    batch: objects that go through the model together.
    gather_seconds: for which the first of a batch waits for others.
    queue_seconds: for which an object may wait; then it is refused without being computed (503).
    body_seconds: between two pieces of a request's body (408).
    drain_seconds: for which requests under way may go on after SIGTERM.
    decoding_bytes: of pictures that are decoded and in use at once, 3 bytes a pixel (429).
    decoders: pictures decoded at the same time.
    cache_bytes: of answers that are kept.
    kept_bytes: of pictures and examples that clients asked to keep.
    view_bytes: of features of kept pictures, and of the pixels that go with them.
    keep_seconds: after which such a picture or example goes.
    density_values: numbers in all densities of an answer (422).
    """

    body_bytes: int = 20 * 2**20
    image_pixels: int = MAX_PIXELS
    image_side: int = MAX_SIDE
    requests: int = 512
    queue: int = 256
    batch: int = 16
    gather_seconds: float = 0.004
    queue_seconds: float = 60.0
    body_seconds: float = 30.0
    drain_seconds: float = 30.0
    decoding_bytes: int = 2**30
    decoders: int = 2
    cache_bytes: int = 64 * 2**20
    kept_bytes: int = 512 * 2**20
    view_bytes: int = 256 * 2**20
    keep_seconds: float = 3600.0
    density_values: int = 4_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            what = f"The server's limit {field.name}"
            if field.name in _SECONDS:
                check_positive(getattr(self, field.name), what, zero=True)
            else:
                check_whole(getattr(self, field.name), what)
