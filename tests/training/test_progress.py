"""What a run reports: a log and curves without gaps or doubles through stops, and progress with speed and time left."""

import json
import re
import sys
import time
from itertools import count

import pytest

from anykeypoint.training.progress import TrainingLog, crop_counts


def values(step):
    return {"loss": 1 / step, "answers": 0.5 / step, "lr": 1e-3, "grad_norm": 2.0, "crops": 3, "skipped": step % 2}


def tell(out, steps, start, stop, seconds=1, quiet=False):
    """A run from step `start` to step `stop`, whose steps take so many seconds."""
    out.mkdir(exist_ok=True)
    times = count(step=seconds)
    with TrainingLog(out, steps, start, main=True, quiet=quiet, clock=lambda: next(times)) as log:
        for step in range(start + 1, stop + 1):
            log.step(step, values(step))


def logged(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_resumed_log_has_every_step_once(tmp_path):
    tell(tmp_path, 6, 0, 4)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')  # as a kill may leave it
    tell(tmp_path, 6, 2, 6)
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert all(line["crops_per_second"] > 0 for line in logged(tmp_path))
    assert crop_counts(tmp_path) == (18, 3)


def test_a_resumed_curve_has_every_step_once(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tell(tmp_path, 6, 0, 4)
    began = time.time()
    while int(time.time()) == int(began):  # files are read in the order of their names, which have the second
        time.sleep(0.01)
    tell(tmp_path, 6, 2, 6)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {*values(1), "crops_per_second"}
    for name in values(1):
        curve = events.Scalars(name)
        assert [event.step for event in curve] == [1, 2, 3, 4, 5, 6]
        assert [event.value for event in curve] == pytest.approx([values(step)[name] for step in range(1, 7)])


def test_without_tensorboard_it_says_once_where_the_losses_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    tell(tmp_path, 3, 0, 3)
    said = capsys.readouterr().err
    assert said.count("log.jsonl only") == 1 and "anykeypoint[tensorboard]" in said
    assert len(logged(tmp_path)) == 3 and not (tmp_path / "tensorboard").exists()


def test_a_terminal_shows_a_bar_with_loss_speed_and_time_left(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes any stream for a terminal then
    monkeypatch.setenv("COLUMNS", "160")
    tell(tmp_path, 4, 0, 4)
    said = capsys.readouterr()
    shown = " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.err).split())
    assert "loss 0.250" in shown and "crops/s" in shown and "left 0:00:00" in shown and "4/4" in shown
    assert not said.out


def test_a_file_gets_plain_lines_at_a_steady_pace_and_at_the_end(tmp_path, capsys):
    """Steps of 11 seconds: a line after the first, then as soon as 30 seconds have passed, and after the last."""
    tell(tmp_path, 9, 0, 9, seconds=11)
    lines = capsys.readouterr().err.splitlines()
    lines = [line for line in lines if line.startswith("training: ")]
    assert [line.split()[2] for line in lines] == ["1/9", "4/9", "7/9", "9/9"]
    assert "loss 0.250 lr 1.0e-03 0.3 crops/s left 0:00:55" in lines[1] and lines[-1].endswith("left 0:00:00")


def test_the_time_left_of_a_resumed_run_is_by_the_speed_since_then(tmp_path, capsys):
    tell(tmp_path, 10, 5, 6, seconds=20)
    assert "step 6/10 " in (line := capsys.readouterr().err) and "left 0:01:20" in line


@pytest.mark.parametrize("terminal", [False, True])
def test_a_quiet_run_prints_nothing_and_logs_all_the_same(tmp_path, capsys, monkeypatch, terminal):
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    tell(tmp_path, 3, 0, 3, quiet=True)
    said = capsys.readouterr()
    assert not said.out and not said.err and len(logged(tmp_path)) == 3


def test_other_processes_print_and_write_nothing(tmp_path, capsys):
    with TrainingLog(tmp_path, 3, 0, main=False) as log:
        log.step(1, values(1))
    said = capsys.readouterr()
    assert not list(tmp_path.iterdir()) and not (said.out + said.err).strip()
