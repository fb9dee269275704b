"""Everything that is wrong with labels at once: `examine` lists the faults, and `repair.repair` mends a copy.

Nothing stops here: every fault is listed with its place, and counts per category say how much of a data set is there.
Coordinates are image pixels.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ..document import Labels
from ..pictures import Pictures
from . import box_orders, category_faults, object_faults, picture_faults, sentinels, side_faults, spelling
from .fault import Fault, LabelReport
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


def examine_labels(labels: Labels, images: Path | Pictures, allow_missing: bool = False) -> LabelReport:
    """Everything that is wrong with labels of any form: what their reader could not use, and `examine` of the rest.

    labels: as `registry.load` gives them.
    images: the folder of the pictures.
    allow_missing: missing pictures are counted, and are no faults.
    """
    report = examine(labels.document(), images)
    faults = [Fault("cannot be read", "", "", sentence.removesuffix(".")) for sentence in labels.faults] + report.faults
    if allow_missing:
        faults = [fault for fault in faults if fault.kind != "picture missing"]
    left_out = Counter(labels.left_out) + Counter(report.left_out)
    return LabelReport(report.counts, faults, dict(left_out))
