"""Everything that is wrong with labels at once: `examine` lists the faults, and `repair.mend` mends a copy.

Nothing stops here: every fault is listed with its place, and counts per category say how much of a data set is there.
Coordinates are image pixels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...configs.doubled_keys import doubled_objects, open_json
from ..document import Labels
from ..pictures import Pictures
from ..reading import read_text
from . import box_orders, category_faults, object_faults, picture_faults, sentinels, shares, side_faults, spelling
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
    shares.scale(found)
    box_orders.turn(found)
    object_faults.objects(found)
    side_faults.left_and_right(found)
    found.faults += known_faults(found.document, pictures.folder, found.counts)
    return LabelReport(found.counts, found.faults, dict(found.left_out))


def examine_labels(
    labels: Labels, images: Path | Pictures, allow_missing: bool = False, files: Iterable[Path] = ()
) -> LabelReport:
    """Everything that is wrong with labels of any form: what their reader could not use, and `examine` of the rest.

    labels: as `registry.load` gives them.
    images: the folder of the pictures.
    allow_missing: missing pictures are counted, and are no faults.
    files: the label files, or folders of them, in which keys are looked for that stand twice and that no reader reads.
    """
    report = examine(labels.document(), images)
    faults = [Fault("cannot be read", "", "", sentence.removesuffix(".")) for sentence in labels.faults] + report.faults
    known = {"key twice", "key with two values"} & {fault.kind for fault in report.faults}
    for file in (inner for path in files for inner in (sorted(path.rglob("*")) if path.is_dir() else [path])):
        faults += [] if known else _doubled_keys(file, labels.faults)
    if allow_missing:
        faults = [fault for fault in faults if fault.kind != "picture missing"]
    left_out = Counter(labels.left_out) + Counter(report.left_out)
    return LabelReport(report.counts, faults, dict(left_out))


def _doubled_keys(file: Path, said: Iterable[str]) -> list[Fault]:
    """The keys that stand twice in a JSON file, without those that are `said` already; other files have none."""
    if file.suffix.lower() != ".json" or not file.is_file():
        return []
    faults = []
    try:
        value = open_json(read_text(file), str(file))
    except (ValueError, RecursionError):  # the reader of the form says what cannot be read
        return []
    for _, entry in doubled_objects(value):
        for key in entry.doubled:
            kind = "key with two values" if key in entry.clashing else "key twice"
            if entry.sentence(key) not in said:
                faults.append(Fault(kind, "", "", entry.sentence(key).removesuffix("."), sure=False))
    return faults
