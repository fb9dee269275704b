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


@pytest.mark.parametrize(
    ("make", "prompt"), [(tiny.capellm, []), (tiny.kptllm, ["--example", "picture.png:example.json"])]
)
def test_a_prediction_raises_no_warning_and_prints_none(tmp_path, make, prompt):
    make(tmp_path, "lora").save_pretrained(tmp_path / "model")
    Image.fromarray(tiny.picture(60, 40)).save(tmp_path / "picture.png")
    (tmp_path / "example.json").write_text(json.dumps({"nose": [20, 10], "tail": [40, 30]}))
    verb = ["predict", "picture.png", "--model", "./model", "--keypoints", "nose; tail", *prompt, "-o", "poses.json"]
    code = "from anykeypoint.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, *STRICT, "-c", code, *verb],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "poses.json").is_file() and "arning" not in ran.stdout + ran.stderr
