"""Everything that is wrong with labels at once: `examine` lists the faults, and `repair.repair` mends a copy.

Nothing stops here: every fault is listed with its place, and counts per category say how much of a data set is there.
Coordinates are image pixels.
"""

from collections.abc import Mapping
from pathlib import Path

from ..pictures import Pictures
from . import box_orders, category_faults, object_faults, picture_faults, sentinels, side_faults, spelling
from .fault import LabelReport
from .findings import Findings
from .known import known_faults


def examine(document: Mapping[str, list], images: Path | Pictures) -> LabelReport:
    """Everything that is wrong with a COCO document; nothing is raised for bad data.

    document: the lists `images`, `annotations` and `categories`.
    images: the folder of the pictures, of which only headers are read. A `Pictures` that is passed again remembers the
        headers that were read before.
    """
    pictures = images if isinstance(images, Pictures) else Pictures(images)
    spelled, faults = spelling.plain(document)
    found = Findings(spelled, pictures)
    found.faults += faults
    category_faults.categories(found)
    picture_faults.images(found)
    sentinels.mark(found)
    box_orders.turn(found)
    object_faults.objects(found)
    side_faults.left_and_right(found)
    found.faults += known_faults(found.document, pictures.folder, found.counts)
    return LabelReport(found.counts, found.faults, dict(found.left_out))
