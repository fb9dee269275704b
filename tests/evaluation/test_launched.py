"""`accelerate launch` of an evaluation: two processes, one report, that of a single process."""

import json
import os
import subprocess
import sys

import pytest
import tiny

from anykeypoint import cli
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.training.trainable import EXPERIMENTS

CODE = """
import os
from anykeypoint import cli
print(f"process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}\\n", end="", flush=True)  # as one write
cli.main()
"""


def test_two_processes_write_the_report_of_one(tmp_path, one_thread, capsys):
    write_dataset(tmp_path / "data", 5, seed=4, per_category=3, size=64)
    tiny.capellm(tmp_path / "base").save_pretrained(tmp_path / "model")
    data = ["--data", f"coco:{tmp_path / 'data' / ANNOTATIONS}", "--images", str(tmp_path / "data" / IMAGES)]
    asked = ["evaluate", str(tmp_path / "model"), *data, "--no-baselines", "--device", "cpu", "-o"]
    (tmp_path / "run.py").write_text(CODE)
    # With --cpu, accelerate would launch a single process.
    launch = ["accelerate.commands.launch", "--config_file", str(EXPERIMENTS / "launch" / "one_host.yaml")]
    launch += ["--num_processes", "2", "--main_process_port", "0", str(tmp_path / "run.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-m", *launch, *asked, str(tmp_path / "two")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Written to") == 1
    started = sorted(line for line in done.stdout.splitlines() if line.startswith("process "))
    assert started == ["process 0 of 2", "process 1 of 2"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*asked, str(tmp_path / "one")])
    assert ended.value.code == 0 and capsys.readouterr().out.count("Written to") == 1
    for name in ("predictions.jsonl", "per_category.csv", "per_object.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two")]
    for found in results:
        del found["command"]
    assert results[0] == results[1]
    assert {path.name for path in (tmp_path / "two").iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}
