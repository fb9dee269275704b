"""Pictures that are copies of others under other names, found by what their files hold."""

import shutil

from PIL import Image

from anykeypoint.forms.copies import copies, copies_note
from anykeypoint.forms.pictures import Pictures


def pictures(folder):
    """a.png, its copy c/b.png, another picture of the same length, and one of another length."""
    (folder / "c").mkdir()
    for name, colour in (("a.png", 10), ("other.png", 20)):
        Image.new("L", (9, 9), colour).save(folder / name)
    assert (folder / "a.png").stat().st_size == (folder / "other.png").stat().st_size
    shutil.copy(folder / "a.png", folder / "c" / "b.png")
    Image.new("RGB", (90, 9)).save(folder / "long.png")
    return Pictures(folder)


def test_copies_are_files_of_the_same_bytes_under_other_names(tmp_path):
    known = pictures(tmp_path)
    assert copies(["a.png", "other.png", "long.png", "c/b.png", "gone.png"], known) == {"c/b.png": "a.png"}
    assert copies(["c/b.png", "a.png"], known) == {"a.png": "c/b.png"}, "the first one is the one that is copied"
    assert copies(["a.png", "./a.png"], known) == {}, "one file in two spellings is one picture"


def test_a_note_names_the_copies_that_labels_list(tmp_path):
    known = pictures(tmp_path)
    shutil.copy(tmp_path / "a.png", tmp_path / "d.png")
    entries = [{"file_name": name} for name in ("a.png", "c/b.png", "d.png", "long.png")]
    assert copies_note({"images": [entries[0], entries[3], "no entry", {"file_name": None}]}, known) is None
    assert copies_note({"images": entries[:2]}, known).startswith(
        "One picture is a copy of another, byte for byte: c/b"
    )
    said = copies_note({"images": entries}, known, 1)
    assert said.startswith("2 pictures are copies of another, byte for byte: c/b.png of a.png and 1 more;")
