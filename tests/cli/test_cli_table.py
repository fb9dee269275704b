"""The table of verbs: every verb loads, says what its options are, and helps without importing what computes."""

import json
import os
import subprocess
import sys

import pytest

import anykeypoint
from anykeypoint import cli
from anykeypoint.cli.app import DATA_VERBS, EXIT_CODES, VERBS, build_command

ALL = {**{(name,): verb for name, verb in VERBS.items()}, **{("data", name): verb for name, verb in DATA_VERBS.items()}}
IDS = [" ".join(name) for name in ALL]


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def words(text: str) -> str:
    """The text without blanks and the line breaks that the width of a terminal makes, behind hyphens too."""
    return "".join(text.split())


@pytest.mark.parametrize("name", ALL, ids=IDS)
def test_the_help_of_a_verb_has_all_its_options_its_summary_and_the_exit_codes(name, run):
    code, out, _ = run(*name, "--help")
    command = build_command(name[-1], ALL[name])
    assert code == 0 and words(EXIT_CODES) in words(out)
    assert command.help.startswith(ALL[name].summary)
    for parameter in command.params:
        declared = parameter.opts if parameter.param_type_name == "option" else [parameter.metavar.strip("[]")]
        assert all(flag in out for flag in declared), parameter.name
        assert words(parameter.help or "") in words(out), f"{parameter.name} has its help"


@pytest.mark.parametrize("name", ALL, ids=IDS)
def test_an_option_that_a_verb_does_not_take_is_refused(name, run):
    code, out, err = run(*name, "--no-such-option")
    assert code == 2 and out == "" and "No such option" in err and "--no-such-option" in err


def test_the_program_lists_its_verbs_from_the_table(run):
    code, out, _ = run("--help")
    assert code == 0 and all(name in out and words(verb.summary) in words(out) for name, verb in VERBS.items())
    assert "data" in out and words(EXIT_CODES) in words(out)
    code, out, _ = run("data", "--help")
    assert code == 0 and all(name in out and words(verb.summary) in words(out) for name, verb in DATA_VERBS.items())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["data", "--help"], ["predict", "--help"], ["evaluate", "--help"], ["train", "--help"]]
)
def test_help_imports_nothing_that_computes(arguments):
    code = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "from anykeypoint import cli\n"
        f"cli.main({arguments!r})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "Usage" in done.stdout
    imported = set(json.loads(done.stderr))
    assert not imported & {"torch", "numpy", "transformers", "PIL", "rich.progress", "pydantic"}
    used = {name for name in imported if name.startswith("anykeypoint.cli.")}
    others = {f"anykeypoint.cli.{verb.module}" for name, verb in ALL.items() if list(name) != arguments[:-1]}
    assert not used & others, "the modules of other verbs stay where they are"


def test_the_version_is_printed(run):
    assert run("--version") == (0, f"anykeypoint {anykeypoint.__version__}\n", "")


def test_a_completion_script_is_printed_and_names_are_completed(run, monkeypatch, capsys):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert "--install-completion" in run("--help")[1] and "--show-completion" in run("--help")[1]
    for line, expected in (
        ("anykeypoint pred", {"predict"}),
        ("anykeypoint data sp", {"split"}),
        ("anykeypoint predict a.png --model cape", {"capellm-small", "capellm-small@held-out"}),
        ("anykeypoint predict a.png --category animal_f", {"animal_face"}),
        ("anykeypoint weights kpt", {"kptllm-small", "kptllm-small@held-out"}),
    ):
        monkeypatch.setenv("_ANYKEYPOINT_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
        assert set(run()[1].split()) == expected


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["predit"], "predict"),
        (["data", "chek"], "check"),
        (["predict", "a.png", "--categry", "x"], "--category"),
        (["categories", "animal_fase"], "animal_face"),
        (["evaluate", "fsat", "--data", "coco:x.json", "--images", ".", "-o", "y", "--strategy", "mode"], "fast"),
        (["weights", "kptlm-small"], "kptllm-small"),
        (["data", "check", "cocoo:x.json", "--images", "."], "coco"),
        (["data", "list", "animalwebb"], "animalweb"),
        (["categories", "mp100/camel_fase"], "camel_face"),
    ],
)
def test_a_near_name_is_suggested_for_an_unknown_one(arguments, near, run):
    code, out, err = run(*arguments)
    assert code == 2 and out == ""
    suggestions = ("near:", "near names are", "Did you mean", "Did you mean one of:", "Possible options:")
    assert any(f"{suggestion} {near}" in err.replace("'", "") for suggestion in suggestions)
