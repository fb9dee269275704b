"""`anykeypoint data split` and `data check`: files of an earlier run are not replaced, unless that is asked for."""

import pytest
from data_verb import run

from anykeypoint.forms import registry


def unread(*_):
    pytest.fail("the labels were read")


@pytest.mark.parametrize(
    ("way", "names"),
    [
        (["--by", "group", "--shares", ".4,.3,.3"], ("train", "val", "test")),
        (["--share", ".5"], ("part", "rest")),
        (["--hold-out", "furniture"], ("furniture_train", "furniture_test")),
    ],
)
def test_a_split_replaces_no_part_of_an_earlier_one_unless_told_to(made, tmp_path, capsys, monkeypatch, way, names):
    """Each part by itself, and before the labels are read: two splits have objects in common."""
    out, options = tmp_path / "parts", made[1]
    out.mkdir()
    for name in names:
        (out / f"{name}.json").write_text("earlier")
        with monkeypatch.context() as patched:
            patched.setattr(registry, "load", unread)
            code, _, err = run(capsys, "split", *options, *way, "-o", out)
        assert code == 2 and f"{name}.json is there already" in err and "--overwrite" in err
        assert [path.read_text() for path in out.iterdir()] == ["earlier"]
        (out / f"{name}.json").unlink()
    assert run(capsys, "split", *options, *way, "-o", out)[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {f"{name}.json" for name in names}
    assert run(capsys, "split", *options, *way, "-o", out, "--overwrite")[0] == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_check_replaces_no_earlier_copy_or_table_unless_told_to(made, tmp_path, capsys, monkeypatch):
    folder, options = made
    copy, table = tmp_path / "mended.json", tmp_path / "changes.csv"
    for file in (copy, table):
        file.write_text("earlier")
        with monkeypatch.context() as patched:
            patched.setattr(registry, "load", unread)
            code, _, err = run(capsys, "check", *options, "--fix", copy, "--changes", table)
        assert code == 2 and f"{file} is there already" in err and file.read_text() == "earlier"
        file.unlink()
    assert "Written to" in run(capsys, "check", *options, "--fix", copy, "--changes", table)[1]
    undo = ["check", f"coco:{copy}", "--images", folder, "--undo", table, "--fix", tmp_path / "before.json"]
    assert run(capsys, *undo)[0] == 0
    code, _, err = run(capsys, *undo)
    assert code == 2 and "before.json is there already" in err
    assert run(capsys, *undo, "--overwrite")[0] == 0
    copy.write_text("earlier")
    assert "Written to" in run(capsys, "check", *options, "--fix", copy, "--changes", table, "--overwrite")[1]
    assert copy.read_text() != "earlier"
