"""Shipped models under the names of version 0.1.0: they load, and a sentence says once what they are called now."""

import json
import subprocess
import sys

import pytest

import anykeypoint as ak
from anykeypoint import cli
from anykeypoint.errors import RenamedWarning
from anykeypoint.models import shipped as names
from anykeypoint.models.loading import find


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(names, "_warned", set())


@pytest.mark.parametrize(
    ("former", "current", "sentence"),
    [("default", "accurate", "capellm-small"), ("kpt", "kptllm-small", "next version")],
)
def test_a_former_name_means_a_model_of_today_and_says_so_once(former, current, sentence, recwarn):
    assert find(former) == find(current)
    assert find(former) == find(current)
    (warning,) = recwarn.list
    assert warning.category is RenamedWarning and sentence in str(warning.message)


def test_load_takes_the_model_that_default_means(shipped, recwarn):
    assert ak.load.__defaults__[0] == names.DEFAULT == next(iter(names.SHIPPED))
    assert ak.load("default", device="cpu").config == shipped("accurate").config
    assert [warning.category for warning in recwarn.list if issubclass(warning.category, RenamedWarning)] == [
        RenamedWarning
    ]


def test_the_command_line_says_it_on_stderr(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", "default", "--data", "coco:none.json", "--images", "x", "-o", "y", "--strategy", "mode"])
    err = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and err[0].startswith("note: 'default' means 'accurate' now") and len(err) == 2
    assert err[1].startswith("error: The model 'default' takes no --strategy")


def test_what_is_asked_for_by_its_name_of_today_says_nothing(recwarn):
    for name in names.SHIPPED:
        assert json.loads((find(name) / "config.json").read_text())["model_type"]
    assert not recwarn.list


def test_a_warning_of_a_library_reaches_the_user_only_with_verbose():
    code = (
        "import sys, warnings\n"
        "from anykeypoint import cli\n"
        "from anykeypoint.library import lookup\n"
        "plain = lookup.library_names\n"
        "lookup.library_names = lambda: warnings.warn('of a library', UserWarning) or plain()\n"
        "cli.main(['categories', 'animal_face', *sys.argv[1:]])\n"
    )
    said = [
        subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True).stderr
        for flags in ([], ["-v"])
    ]
    assert said[0] == "" and said[1] == "note: of a library\n"
