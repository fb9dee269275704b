"""What a run tells: a log and curves without gaps or doubles through stops, and a bar with rate and time left."""

import json
import sys

import pytest

from anykeypoint.training.progress import Report, crop_counts


def figures(step):
    return {"loss": 1 / step, "answers": 0.5 / step, "lr": 1e-3, "grad_norm": 2.0, "crops": 3, "skipped": step % 2}


def tell(out, steps, start, stop):
    out.mkdir(exist_ok=True)
    with Report(out, steps, start, main=True) as report:
        for step in range(start + 1, stop + 1):
            report.step(step, figures(step))


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
    tell(tmp_path, 6, 2, 6)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {*figures(1), "crops_per_second"}
    for name in figures(1):
        curve = events.Scalars(name)
        assert [event.step for event in curve] == [1, 2, 3, 4, 5, 6]
        assert [event.value for event in curve] == pytest.approx([figures(step)[name] for step in range(1, 7)])


def test_without_tensorboard_it_says_once_where_the_figures_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    tell(tmp_path, 3, 0, 3)
    said = capsys.readouterr().err
    assert said.count("log.jsonl only") == 1 and "anykeypoint[tensorboard]" in said
    assert len(logged(tmp_path)) == 3 and not (tmp_path / "tensorboard").exists()


def test_the_bar_shows_loss_rate_and_time_left(tmp_path, capsys):
    tell(tmp_path, 4, 0, 4)
    shown = " ".join(capsys.readouterr().out.split())
    assert "loss 0.250" in shown and "crops/s" in shown and "left 0:00:00" in shown and "4/4" in shown


def test_other_processes_tell_nothing(tmp_path, capsys):
    with Report(tmp_path, 3, 0, main=False) as report:
        report.step(1, figures(1))
    said = capsys.readouterr()
    assert not list(tmp_path.iterdir()) and not (said.out + said.err).strip()
