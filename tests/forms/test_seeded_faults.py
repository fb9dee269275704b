"""Faults put into good labels of every form: all are found, no good object is touched, and the changes lead back.

A tenth of the 500 seeds is tried by default, and all of them with ANYKEYPOINT_SOAK=1 (`make soak`).
"""

import copy
import os
from collections import Counter

import numpy as np
import pytest
from seeded_faults import COCO, FILES, write_document
from seeded_labels import OPENED, good_document, make_pictures, write_form

from anykeypoint.configs.doubled_keys import dump_json
from anykeypoint.forms.coco import from_document
from anykeypoint.forms.dataset import NO_IMAGE
from anykeypoint.forms.document import load_document
from anykeypoint.forms.faults.changes import take_back
from anykeypoint.forms.faults.doctor import examine, examine_labels
from anykeypoint.forms.faults.fault import KINDS
from anykeypoint.forms.faults.repair import mend
from anykeypoint.forms.registry import FORMS, load, writable_forms

ALL, SHARE = 500, 10
SEEDS = range(ALL) if os.environ.get("ANYKEYPOINT_SOAK") == "1" else range(0, ALL, SHARE)
READABLE = {form: OPENED[form] for form in OPENED if form in FORMS}

# Every way of spoiling every form, COCO's between those of the other forms, so that any run of seeds tries many forms.
FILE_WAYS = [(form, name) for name, way in FILES.items() for form, kind in READABLE.items() if way.fits(kind)]
COCO_WAYS = [("coco", name) for name in COCO]
WAYS = [pair for pairs in zip(FILE_WAYS, COCO_WAYS * 2, strict=False) for pair in pairs]
WAYS += [way for way in (*FILE_WAYS, *COCO_WAYS) if way not in WAYS]


def way_of(seed):
    """The form and the injector of a seed; the tenth that is always tried goes through all of them too."""
    return WAYS[(seed // SHARE + (ALL // SHARE) * (seed % SHARE)) % len(WAYS)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    make_pictures(folder)
    return folder


def good(form, seed, folder):
    """Random numbers of a seed, and a good document for the form."""
    rng = np.random.default_rng(seed)
    opened = OPENED.get(form)
    return rng, good_document(rng, opened is None or opened.hidden, opened is None or opened.gaps)


def written(form, files, out):
    """The labels that a form's reader makes of files."""
    for path, text in files.items():
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return out / OPENED[form].main


def labels_of(form, files, out, folder):
    path = written(form, files, out)
    if form == "yolo":  # its pictures stand beside its labels
        for name in {path.split("/")[-1] for path in files if path.endswith(".txt")}:
            picture = out / "labels" / "images" / "train" / name.replace(".txt", ".png")
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes((folder / picture.name).read_bytes())
        folder = None
    spec = f"{OPENED[form].spec}:{path}"
    from anykeypoint.forms.registry import pictures_of

    root = pictures_of(spec, folder)
    return load(spec, root), root


def identities(document):
    """Each object by all that it holds but its id, with the names of its picture and category."""
    names = {entry.get("id"): entry.get("file_name") for entry in document["images"]}
    kinds = {entry.get("id"): entry.get("name") for entry in document["categories"]}
    found = []
    for entry in document["annotations"]:
        rest = {key: value for key, value in entry.items() if key not in ("id", "image_id", "category_id")}
        found.append(dump_json([names.get(entry["image_id"]), kinds.get(entry["category_id"]), rest]))
    return found


@pytest.mark.parametrize("form", ["coco", *READABLE])
def test_good_labels_have_no_fault(form, pictures, tmp_path):
    for seed in range(5):
        _, document = good(form, seed, pictures)
        if form == "coco":
            assert examine(document, pictures).faults == []
            continue
        labels, folder = labels_of(form, write_form(form, document, pictures), tmp_path / str(seed), pictures)
        report = examine_labels(labels, folder)
        assert report.faults == [] and sum(sums.objects for sums in report.counts.values()) >= 4


def test_every_form_that_is_written_can_be_spoiled():
    assert set(writable_forms()) <= {*OPENED, "coco"}


def test_every_kind_of_fault_is_put_into_labels():
    """But for those that tests of their own try: known faults of public data, and labels without an object."""
    assert {way.kinds[0] for way in (*COCO.values(), *FILES.values())} >= {*KINDS} - {
        "known fault",
        "no object",
        "id of two things",
    }


def test_the_seeds_try_every_form_and_every_injector():
    tried = Counter(map(way_of, range(ALL)))
    assert set(tried) == set(WAYS) and min(tried.values()) >= 2
    assert {form for form, _ in map(way_of, range(0, ALL, SHARE))} == {"coco", *READABLE}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seeded_fault_is_found_and_nothing_else(seed, pictures, tmp_path):
    form, name = way_of(seed)
    rng, document = good(form, seed, pictures)
    if form == "coco":
        way, before = COCO[name], copy.deepcopy(document)
        way.spoil(document, rng)
        (tmp_path / "labels.json").write_text(write_document(document))
        document = load_document(tmp_path / "labels.json")
        report, folder = examine(document, pictures), pictures
    else:
        way, files = FILES[name], write_form(form, document, pictures)
        labels, _ = labels_of(form, files, tmp_path / "good", pictures)
        before, opened = labels.document(), OPENED[form](dict(files))
        way.spoil(opened, rng)
        labels, folder = labels_of(form, {**files, **opened.texts()}, tmp_path / "spoiled", pictures)
        document, report = labels.document(), examine_labels(labels, folder)
    found = {fault.kind for fault in report.faults}
    assert way.kinds[0] in found and found <= set(way.kinds), report.faults
    check_places(before, document, report.faults, way)
    check_mended(document, report.faults, folder)


def check_places(before, document, faults, way):
    """No fault concerns an object that is as it was; where one can no longer be read, the others still are."""
    same = set(map(dump_json, before["annotations"])) if way.kinds[0] != "cannot be read" else set()
    for fault in faults:
        if fault.key[0] == "annotations" and fault.kind not in ("same object", "no object"):
            assert fault.places and all(dump_json(document["annotations"][i]) not in same for i in fault.places), fault
    if way.kinds[0] == "cannot be read":
        left = Counter(identities(document))
        assert not left - Counter(identities(before)) and 0 < sum(left.values()) < len(before["annotations"])


def ordered(document):
    """The document as text, with the keys of each entry in one order; NaN equals itself there."""
    return {
        section: [
            sorted(map(dump_json, entry.items())) if type(entry) is dict else dump_json(entry) for entry in entries
        ]
        for section, entries in document.items()
        if isinstance(entries, list)
    }


def check_mended(document, faults, folder):
    """Objects without a fault are in the mended copy, equal to the last bit, and the changes lead back."""
    untouched = dump_json(document)
    result = mend(document, folder)
    assert dump_json(document) == untouched
    assert ordered(take_back(result.document, result.changes, "")) == ordered(document)
    touched = {i for fault in faults if fault.key[0] == "annotations" for i in fault.places}
    lost = {fault.kind for fault in faults} & {"broken entry", "picture twice"}  # their objects go, or move
    kept = Counter(dump_json(entry) for entry in result.document["annotations"])
    for i, entry in enumerate(document["annotations"]):
        if i not in touched and not lost:
            assert kept[dump_json(entry)] >= 1
    report = examine(result.document, folder)
    assert {fault.kind for fault in report.faults if KINDS[fault.kind] and fault.sure} == set()
    data = from_document(result.document, folder / "mended.json", folder, allow_missing=True)
    counted = sum(sums.objects for sums in report.counts.values())
    assert counted == len(data.objects) + data.skipped.get(NO_IMAGE, 0)
