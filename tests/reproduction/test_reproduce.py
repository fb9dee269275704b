"""`reproduce` from end to end: trainings that rows share, a run that was cut, pages, status and what is refused."""

import json
import shlex
import shutil
from dataclasses import replace

import pytest
from other_process import training_in
from toy_tables import write_toy

from anykeypoint import cli
from anykeypoint.reproduction import tables
from anykeypoint.reproduction.configured import Length
from anykeypoint.reproduction.figures import Figure
from anykeypoint.reproduction.places import Places
from anykeypoint.reproduction.table_page import markdown
from anykeypoint.reproduction.table_run import COMPARED, MEASURED, ReproductionConfig, RowResult, TableResult, reproduce
from anykeypoint.reproduction.trainings import training_of
from anykeypoint.training.progress import TrainingLog


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("toy")
    write_toy(made)
    return made


@pytest.fixture(autouse=True)
def toy(folder, monkeypatch, tmp_path):
    """The toy's tables in the place of the shipped ones, and no weights of this machine."""
    monkeypatch.setattr(tables, "table_files", lambda: [folder / "toy.yaml"])
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path / "cache"))
    tables.all_papers.cache_clear()
    yield
    tables.all_papers.cache_clear()


def run(capsys, folder, *arguments):
    """Exit code, standard output and standard error of one `reproduce`."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["reproduce", *map(str, arguments), "--data", str(folder / "data")])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def log_of(out):
    (log,) = out.glob("trainings/*/run/log.jsonl")
    return [json.loads(line)["step"] for line in log.read_text().splitlines()]


def test_two_rows_share_a_training_that_goes_on_where_it_was_cut(folder, tmp_path, capsys, monkeypatch):
    out, options = tmp_path / "out", ("toy-table-1", "--scale", "field", "-o", tmp_path / "out")
    taken, step = [], TrainingLog.step

    def cut(self, number, values):
        step(self, number, values)
        taken.append(number)
        if len(taken) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingLog, "step", cut)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        cli.main(["reproduce", *map(str, options), "--data", str(folder / "data")])
    assert log_of(out) == [1, 2]
    code, printed, err = run(capsys, folder, *options)
    assert code == 0, err
    assert log_of(out) == [1, 2, 3] and taken == [1, 2, 2, 3]  # step 2 was taken and not kept
    assert len(list(out.glob("evaluations/capellm-*/results.json"))) == 2

    page = json.loads((out / "toy-table-1.json").read_text())
    (trivial,), (beside,) = page["baselines"], out.glob("evaluations/baselines-*/results.json")
    figures = {name: one["object_mean"]["pck@0.2"] for name, one in json.loads(beside.read_text())["baselines"].items()}
    assert {"image_centre", "mean_position"} <= set(figures) and trivial["protocol"] == "text"
    assert trivial["value"] == max(figures.values()) == figures[trivial["name"]]
    rows = {row["row"]: row for row in page["rows"]}
    first, second = rows["greedy search"], rows["mode"]
    assert first["models"] == second["models"] and first["evaluations"] != second["evaluations"]
    results = json.loads((out / "evaluations" / second["evaluations"][0] / "results.json").read_text())
    assert second["figures"]["mpck"]["ours"]["value"] == results["object_mean"]["mpck"]
    assert second["figures"]["mpck"]["paper"] == 92.0 and results["settings"]["strategy"] == "mode"
    moved = second["figures"]["mpck"]["change"]
    assert moved["value"] == pytest.approx(
        second["figures"]["mpck"]["ours"]["value"] - first["figures"]["mpck"]["ours"]["value"]
    )
    assert moved["interval"][0] <= moved["value"] <= moved["interval"][1]
    assert (rows["theirs"]["status"], rows["large"]["status"]) == ("published", "not run")
    text = (out / "toy-table-1.md").read_text()
    assert "bootstrap interval over objects." in text and "No interval" not in text
    assert text.splitlines()[2].startswith("At field scale, which is another scale than the paper's")
    assert f"The best trivial baselines on these objects have pck@0.2 {trivial['value']:.1f} (text: " in text
    assert "6 items" in text and "97.07" in text and "anykeypoint" in text and "It needs 80 GB." in text
    assert text.strip() in printed and "<table>" in (out / "toy-table-1.html").read_text()

    def never(*arguments, **options):
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr("anykeypoint.reproduction.table_run.train", never)
    monkeypatch.setattr("anykeypoint.reproduction.measuring.load", never)
    assert run(capsys, folder, *options)[:2] == (0, printed)


def test_the_page_names_the_columns_without_an_interval_and_what_the_others_are_over(folder, tmp_path):
    table = replace(tables.all_papers()[0].tables["table-1"], metrics=("AP", "attention@0.1"), splits=("1",))
    config = ReproductionConfig(Places(tmp_path), tmp_path, "paper")

    def said(**figures):
        row = RowResult(table.rows[0], MEASURED, figures={name: Figure(*ours) for name, ours in figures.items()})
        return markdown(TableResult(replace(table, metrics=tuple(figures)), config, (row,)))

    whole = said(**{"AP": (50.0, 40.0, 60.0), "attention@0.1": (30.0,), "attention@0.2": (None,)})
    assert "No interval is known of attention@0.1: a mean over splits" in whole
    assert "interval over objects, that of AP and AR over pictures." in whole and "40.0 to 60.0" in whole
    known = said(AP=(50.0, 40.0, 60.0))
    assert "No interval" not in known and "bootstrap interval over pictures." in known


def test_a_page_has_the_papers_figures_as_they_are_printed_and_fractions_of_a_box_with_three_digits(folder, tmp_path):
    columns = ("learning_rate", "total_epochs", "params_m", "mpck", "attention_distance")
    table = replace(tables.all_papers()[0].tables["table-1"], metrics=columns, splits=("1",))
    paper = {"learning_rate": 1e-5, "total_epochs": 200, "params_m": 58.742, "mpck": 90, "attention_distance": 0.2}

    def shown(status, **figures):
        row = RowResult(replace(table.rows[0], paper=paper), status, figures=figures)
        page = markdown(TableResult(table, ReproductionConfig(Places(tmp_path), tmp_path, "paper"), (row,)))
        cells = [[cell.strip() for cell in line.split("|")] for line in page.splitlines() if line.startswith("|")]
        return {line[2]: line[3:5] for line in cells if line[2] in columns}

    compared = shown(COMPARED)
    assert [compared[name][0] for name in columns[:3]] == ["1e-05", "200", "58.742"]
    ours = shown(MEASURED, mpck=Figure(28.26), attention_distance=Figure(0.1234))
    assert ours["mpck"] == ["90.00", "28.3"] and ours["attention_distance"] == ["0.20", "0.123"]
    assert ours["params_m"][0] == "58.742"


def test_a_row_that_fails_leaves_the_others_their_figures(folder, tmp_path, capsys, monkeypatch):
    from anykeypoint.reproduction import measuring

    plain = measuring.evaluate

    def failing(model, dataset, out, config, **options):
        if config.strategy == "mode":
            raise RuntimeError("out of memory\nand more")
        return plain(model, dataset, out, config, **options)

    monkeypatch.setattr(measuring, "evaluate", failing)
    code, printed, err = run(capsys, folder, "toy-table-1", "--scale", "field", "--items", 2, "-o", tmp_path / "out")
    rows = {row["row"]: row for row in json.loads((tmp_path / "out" / "toy-table-1-items-2.json").read_text())["rows"]}
    assert code == 1 and "'mode': out of memory." in err and "failed: out of memory" in printed
    assert rows["greedy search"]["figures"]["mpck"]["ours"]["value"] is not None and log_of(tmp_path / "out") == [1]


def test_a_row_that_another_process_trains_is_named_and_the_others_run(folder, tmp_path, capsys):
    paper = tables.all_papers()[0]
    (row,) = paper.tables["table-2"].rows
    training = training_of(paper, row, row.settings["field"][0], Length(items=2))
    out, options = tmp_path / "out", ("toy-table-2", "toy-table-1", "--scale", "field", "--items", 2)
    with training_in(training.folder(out)) as other:
        code, printed, err = run(capsys, folder, *options, "-o", out)
        assert code == 1 and "toy-table-2, 'guided': Another process trains in" in " ".join(err.split())
        assert f"(process {other.pid}, since" in " ".join(err.split()) and "failed: Another process trains" in printed
        assert not (training.folder(out) / "run").exists()
    assert page_of(out, "toy-table-1-items-2")[0]["greedy search"] == "measured"
    assert page_of(out, "toy-table-2-items-2")[0]["guided"] == "failed"
    assert run(capsys, folder, *options, "-o", out)[0] == 0 and training.is_done(out)


def test_a_row_that_another_process_measures_is_named(folder, tmp_path, capsys):
    out, options = tmp_path / "out", ("toy-table-1", "--scale", "field", "--items", 2, "--rows", "mode")
    assert run(capsys, folder, *options, "-o", out)[0] == 0
    (evaluation,) = out.glob("evaluations/capellm-*")
    (evaluation / "results.json").unlink()
    lines = (evaluation / "predictions.jsonl").read_bytes()
    with training_in(evaluation):
        code, _, err = run(capsys, folder, *options, "-o", out)
    assert code == 1 and "'mode': Another process measures in" in " ".join(err.split())
    assert (evaluation / "predictions.jsonl").read_bytes() == lines


def test_figures_of_labels_or_weights_that_changed_since_are_not_given_for_those_of_now(folder, tmp_path, capsys):
    data, out = tmp_path / "own" / "data", tmp_path / "out"
    shutil.copytree(folder / "data", data)
    options = ("toy-table-2", "--scale", "field", "--items", 2, "-o", out)
    assert run(capsys, data.parent, *options)[0] == 0

    labels = json.loads((data / "annotations.json").read_text())
    whole = json.dumps(labels)
    labels["annotations"].pop()
    (data / "annotations.json").write_text(json.dumps(labels))
    code, printed, err = run(capsys, data.parent, *options)
    assert code == 1 and "holds a training on other labels than" in err and "failed" in printed
    (training,) = out.glob("trainings/*")
    shutil.rmtree(training)
    code, _, err = run(capsys, data.parent, *options)
    assert code == 1 and "holds a measurement on other labels than" in err

    (data / "annotations.json").unlink()  # what is done needs no labels any more, but the model is another one
    code, _, err = run(capsys, data.parent, *options)
    assert code == 1 and "holds a measurement of a model that was trained anew since" in err
    (evaluation,) = out.glob("evaluations/capellm-*")
    (data / "annotations.json").write_text(whole)
    shutil.rmtree(evaluation)
    shutil.rmtree(training)
    assert run(capsys, data.parent, *options)[0] == 0


def page_of(out, name="toy-table-1"):
    """The status of each row of a page, and the whole page."""
    page = json.loads((out / f"{name}.json").read_text())
    return {row["row"]: row["status"] for row in page["rows"]}, page


def test_a_page_keeps_the_rows_of_earlier_runs_and_has_the_command_of_the_others(folder, tmp_path, capsys):
    out, options = tmp_path / "out", ("toy-table-1", "--scale", "field", "-o", tmp_path / "out")
    others = {"theirs": "published", "large": "not run"}
    assert run(capsys, folder, *options, "--rows", "mode")[0] == 0
    status, page = page_of(out)
    assert status == {"greedy search": "not run yet", "mode": "measured", **others}
    figure = page["rows"][1]["figures"]["mpck"]["ours"]
    command = shlex.split(page["command_of_rest"])
    assert "(not run yet)" in (out / "toy-table-1.md").read_text()
    for ending in ("md", "html"):
        assert "Rows that are not run yet are run by" in (out / f"toy-table-1.{ending}").read_text()

    assert command[:3] == ["anykeypoint", "reproduce", "toy-table-1"] and command[-2:] == ["--rows", "greedy search"]
    with pytest.raises(SystemExit, match="0"):
        cli.main(command[1:])
    status, page = page_of(out)
    first, second = page["rows"][:2]
    assert status == {"greedy search": "measured", "mode": "measured", **others} and page["command_of_rest"] == ""
    assert second["figures"]["mpck"]["ours"] == figure and second["figures"]["mpck"]["change"]["value"] == (
        pytest.approx(figure["value"] - first["figures"]["mpck"]["ours"]["value"])
    )
    assert "not run yet" not in (out / "toy-table-1.md").read_text()
    config = ReproductionConfig(Places(folder / "data"), out, "field")
    begun = next(reproduce(tables.find_table("toy-table-1"), config))  # what is left of a run that is cut now
    assert [row.status for row in begun.rows] == [*status.values()]
    assert begun.rows[1].changes["mpck"].value == second["figures"]["mpck"]["change"]["value"]


def test_what_another_process_measured_meanwhile_is_in_the_table(folder, tmp_path):
    table, places = tables.all_papers()[0].tables["table-1"], Places(folder / "data")
    config = ReproductionConfig(places, tmp_path / "out", "field", quiet=True)
    one, other = ("greedy search", "mode")
    running = reproduce(table, replace(config, rows=(other,)))
    begun = {row.row.name: row.status for row in next(running).rows}
    assert begun[one] == "not run yet"
    list(reproduce(table, replace(config, rows=(one,))))
    *_, whole = running
    rows = {row.row.name: row for row in whole.rows}
    assert rows[one].status == rows[other].status == MEASURED and whole.trivial
    assert not rows[one].changes and rows[other].changes, "its change is from the first row"


def test_another_length_or_seed_has_a_page_of_its_own_and_another_scale_another_folder(folder, tmp_path, capsys):
    out, options = tmp_path / "out", ("toy-table-1", "--scale", "field", "-o", tmp_path / "out", "--rows", "mode")
    assert run(capsys, folder, *options)[0] == 0
    before = (out / "toy-table-1.json").read_bytes()
    code, printed, _ = run(capsys, folder, *options, "--seed", 1, "--items", 2)
    assert code == 0 and "toy-table-1-items-2-seed-1.md" in printed
    assert (out / "toy-table-1.json").read_bytes() == before
    page = page_of(out, "toy-table-1-items-2-seed-1")[1]
    assert (page["seeds"], page["items"]) == ([1], [2]) and "--seed 1" in page["command_of_rest"]
    code, _, err = run(capsys, folder, "toy-table-1", "-o", out)
    assert code == 2 and "toy-table-1.json is this table at field scale" in err and "another output folder" in err


def test_a_row_of_an_earlier_run_is_not_shown_with_figures_of_other_labels_or_another_model(folder, tmp_path, capsys):
    data, out = tmp_path / "own" / "data", tmp_path / "out"
    shutil.copytree(folder / "data", data)
    options = ("toy-table-1", "--scale", "field", "--items", 2, "-o", out, "--rows")
    assert run(capsys, data.parent, *options, "mode")[0] == 0
    (training,) = out.glob("trainings/*")
    done = json.loads((training / "training.json").read_text())
    (training / "training.json").write_text(json.dumps({**done, "weights": "others"}))
    assert run(capsys, data.parent, *options, "greedy search")[0] == 0
    status, page = page_of(out, "toy-table-1-items-2")
    assert (status["greedy search"], status["mode"]) == ("measured", "not run yet")
    assert "trained anew since" in page["rows"][1]["why"] and page["rows"][1]["figures"]["mpck"]["ours"] is None

    labels = json.loads((data / "annotations.json").read_text())
    labels["annotations"].pop()
    (data / "annotations.json").write_text(json.dumps(labels))
    code, printed, _ = run(capsys, data.parent, *options, "greedy search")
    status, page = page_of(out, "toy-table-1-items-2")
    assert code == 1 and (status["greedy search"], status["mode"]) == ("failed", "not run yet")
    assert "on other labels than" in page["rows"][1]["why"] and "(not run yet: " in printed


def test_missing_data_stop_before_any_work_and_say_where_they_come_from(folder, tmp_path, capsys):
    code, _, err = run(capsys, folder, "toy-table-1", "-o", tmp_path / "out")
    assert code == 2 and not (tmp_path / "out").exists()
    assert "Nothing was started" in err and "nowhere1.json" in err and "Pose for Everything" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["toy-tabel-1"], "There is no table 'toy-tabel-1' (near: toy-table-1, toy-table-2)"),
        (["toy-table-1", "--rows", "gredy search"], "No row is called 'gredy search' (near: greedy search)"),
        (["toy-table-1", "--scale", "fields"], "--scale must be one of paper, field"),
        (["toy-table-1", "--items", "5"], "--items is for --scale field"),
        (["toy-table-1", "--epochs", "0"], "--epochs must be a whole number from 1"),
        (["toy-table-1", "--seed", "-1"], "--seed must be a whole number from 0"),
        (["toy-table-1", "--rows", " ; "], "--rows names no row, but got ' ; '"),
        (["toy-table-1", "--model", "nowhere"], "There is no folder nowhere; give --model"),
        (["toy-table-1", "--scale", "field", "-o", __file__], "is no folder that can be written to"),
        (["toy-table-1", "--list", "--items", "5"], "--list runs nothing, so that --items changes nothing"),
        (["toy-table-1", "--list", "--dry-run"], "--list runs nothing, so that --dry-run changes nothing"),
        (["--list", "--rows", "gredy search"], "No row is called 'gredy search' (near: greedy search)"),
        ([], "Name at least one table"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(folder, capsys, arguments, says):
    code, _, err = run(capsys, folder, *arguments)
    assert code == 2 and says in err


def test_the_list_says_of_every_row_where_it_runs_and_what_it_needs(folder, tmp_path, capsys):
    code, printed, _ = run(capsys, folder, "--list", "--json", tmp_path / "rows.json")
    rows = {row["row"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert code == 0 and printed.count("runs at field scale") == 4  # three rows, and their number
    assert (
        rows["mode"]["status"] == "runs at field scale"
        and "at paper scale it needs mp100:nowhere1.json" in rows["mode"]["why"]
    )
    assert (
        rows["large"]["status"].startswith("needs data mp100:nowhere1.json")
        and "It needs 80 GB." in rows["large"]["why"]
    )
    assert rows["theirs"] == {
        "table": "toy-table-1",
        "row": "theirs",
        "status": "published elsewhere",
        "why": "their page",
    }


def test_the_list_is_of_the_rows_and_the_scale_that_are_asked_for(folder, tmp_path, capsys):
    code, printed, _ = run(capsys, folder, "--list", "--scale", "field", "--rows", "mode; large", "toy-table-1")
    assert code == 0 and printed.count("toy-table-1") == 2
    assert "runs at field scale" in printed and "not run" in printed and "needs data" not in printed
    code, printed, _ = run(capsys, folder, "--list", "--scale", "paper", "--rows", "mode")
    assert code == 0 and "needs data mp100:nowhere1.json" in printed and "1 needs data" in printed


def test_data_that_are_missing_at_field_scale_are_the_users_own(folder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "toy-table-1", "--scale", "field", "--data", str(tmp_path), "-o", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert "put labels of your own in COCO's form" in said and "COCO project" not in said and "--scale" not in said


def test_a_dry_run_names_trainings_and_measurements_and_writes_nothing(folder, tmp_path, capsys):
    options = ("--scale", "field", "--dry-run", "-o", tmp_path / "out")
    code, printed, _ = run(capsys, folder, "toy-table-1", "toy-table-2", *options)
    assert code == 0 and printed.count("train capellm-") == 2 and printed.count("evaluate capellm-") == 3
    assert printed.count("million parameters") == 2, "guidance as well leaves a size to know"
    assert "on this machine: CPU" in printed and "6 items in 3 steps" in printed and "6 objects" in printed
    assert "hours here" in printed and not (tmp_path / "out").exists()
