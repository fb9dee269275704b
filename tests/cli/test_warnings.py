"""No warning of a library reaches a user of the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from PIL import Image

STRICT = ("-W", "error::FutureWarning", "-W", "error::DeprecationWarning", "-W", "error::UserWarning")
SOURCE = Path(__file__).resolve().parents[2] / "src"
PREDICTIONS = {"capellm": [], "kptllm": ["--example", "picture.png:example.json"]}
CODE = """
import json, sys
from anykeypoint.cli import main
for verb in json.loads(sys.argv[1]):
    print("begins", *verb[-1:], flush=True)
    print("begins", *verb[-1:], flush=True, file=sys.stderr)
    try:
        main(verb)
    except SystemExit as ended:
        assert not ended.code, ended.code
"""


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """The folder that a process predicted in, with both models, and what it said of each."""
    folder = tmp_path_factory.mktemp("strict")
    Image.fromarray(tiny.picture(60, 40)).save(folder / "picture.png")
    (folder / "example.json").write_text(json.dumps({"nose": [20, 10], "tail": [40, 30]}))
    asked = ["predict", "picture.png", "--keypoints", "nose; tail"]
    verbs = []
    for name, prompt in PREDICTIONS.items():
        getattr(tiny, name)(folder, "lora").save_pretrained(folder / name)
        verbs.append([*asked, "--model", f"./{name}", *prompt, "-o", f"{name}.json"])
    ran = subprocess.run(
        [sys.executable, *STRICT, "-c", CODE, json.dumps(verbs)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    return folder, ran


@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_prediction_raises_no_warning_and_prints_none(predicted, name):
    folder, ran = predicted
    assert (folder / f"{name}.json").is_file(), ran.stderr
    said = [text.partition(f"begins {name}.json\n")[2].partition("begins ")[0] for text in (ran.stdout, ran.stderr)]
    assert "arning" not in "".join(said)
    assert ran.returncode == 0, ran.stderr
