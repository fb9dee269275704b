"""Run the rows of a table: train what is not trained, measure what is not measured, and collect the figures.

Rows that are not asked for are not run, but have their figures where an earlier run left them.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from ..configs.checks import near_names
from ..errors import InputError, first_few, first_line
from ..evaluation.run_folder import Progress, no_progress
from .configured import Length
from .figures import Figure, change, figure
from .measuring import Measured, measure, measured_before, measured_of
from .needs import Missing, missing_of
from .places import Places
from .settings import OWN, Setting
from .tables import MEAN, Row, Table, columns_of, paper_of, split_column
from .trainings import Training, TrainingWay, check_labels, train, training_of
from .trivial import Trivial, best_baselines

MEASURED, FAILED, PUBLISHED, NOT_RUN, COMPARED = "measured", "failed", "published", "not run", "compared"
NOT_YET = "not run yet"


@dataclass(frozen=True)
class ReproductionConfig:
    """What a user asks for.

    places: where labels, pictures and weights are.
    out: the output folder.
    scale: one of `settings.SCALES`.
    length: what is changed of the trainings.
    rows: names of the rows that are run; all where empty.
    device: that models are loaded on.
    quiet: no progress of trainings on stderr.
    launch: a config file of `accelerate launch`, in whose processes trainings are run; None for this process.
    command: the command line, for the pages.
    """

    places: Places
    out: Path
    scale: str
    length: Length = field(default_factory=Length)
    rows: tuple[str, ...] = ()
    device: str = "auto"
    quiet: bool = False
    launch: Path | None = None
    command: str = ""

    def asks(self, row: Row) -> bool:
        """Whether a row is to be run."""
        return not self.rows or row.name in self.rows

    def command_of(self, table: Table, rows: Sequence[str]) -> str:
        """The command line that runs rows of a table as these are run."""
        length = {f"--{name}": value for name, value in vars(self.length).items()}
        given = {"--data": self.places.data, "--model": self.places.models, "-o": self.out, "--scale": self.scale}
        given |= {**length, "--launch": self.launch, "--device": None if self.device == "auto" else self.device}
        given["--rows"] = ";".join(rows)
        words = [word for option, value in given.items() if value is not None for word in (option, str(value))]
        return shlex.join(["anykeypoint", "reproduce", table.id, *words])


@dataclass(frozen=True)
class PlannedRow:
    """A row with its training and measurement on each split.

    parts: none where the row is not run.
    why: why it cannot be run in the way that others are asked for; "" where it can.
    """

    row: Row
    parts: tuple[tuple[Setting, Training | None, Measured], ...]
    why: str = ""


@dataclass(frozen=True)
class RowResult:
    """What became of a row.

    row: the row.
    status: MEASURED, FAILED, PUBLISHED, NOT_RUN, COMPARED or NOT_YET.
    why: why it failed or was not run, or what is there cannot be shown; where a published figure is from.
    figures: column -> our figure.
    changes: column -> what it has more than the first row, on the objects that both were asked about.
    trainings: names of the trainings, or of the checkpoint, that it measures.
    measurements: names of its measurements.
    objects: number of objects that were measured.
    training_seconds, measuring_seconds: how long these took; rows that share a training have the same seconds.
    """

    row: Row
    status: str
    why: str = ""
    figures: dict[str, Figure] = field(default_factory=dict)
    changes: dict[str, Figure] = field(default_factory=dict)
    trainings: tuple[str, ...] = ()
    measurements: tuple[str, ...] = ()
    objects: int = 0
    training_seconds: float = 0.0
    measuring_seconds: float = 0.0


@dataclass(frozen=True)
class TableResult:
    """The rows of a table, and how they came about.

    rows: all of them, in the table's order.
    items: numbers of training items of the rows that train, without doubles; none where recipes say how long.
    seeds: of their trainings, without doubles.
    trivial: at field scale the best trivial baselines on the same objects, known when all rows are done.
    """

    table: Table
    config: ReproductionConfig
    rows: tuple[RowResult, ...]
    items: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    trivial: tuple[Trivial, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of figures: those of the table, or at field scale its metrics."""
        return columns_at(self.table, self.config.scale)

    def paper(self, row: Row, column: str) -> float | None:
        """What the paper prints for a column; at field scale its mean over the splits."""
        if column in self.table.columns:
            return row.paper.get(column)
        return row.paper.get(MEAN if len(self.table.metrics) == 1 else f"{MEAN}/{column}")


def columns_at(table: Table, scale: str) -> tuple[str, ...]:
    """The columns of a table's figures at a scale."""
    return table.columns if scale == "paper" else columns_of(table.metrics, ("",))


# --- before anything is run ------------------------------------------------------------------------------------------


def plan_rows(table: Table, config: ReproductionConfig) -> list[PlannedRow]:
    """The rows that are asked for, with their trainings and measurements. Raises InputError for settings that do not
    fit."""
    return [_plan(table, row, config) for row in table.rows if config.asks(row)]


def _plan(table: Table, row: Row, config: ReproductionConfig) -> PlannedRow:
    what, parts = f"{table.id}, {row.name!r}", []
    for setting in row.settings.get(config.scale, ()):
        if setting.measure != "hyperparameters":
            training = training_of(paper_of(table), row, setting, config.length)
            parts.append((setting, training, measured_of(setting, training, what)))
    return PlannedRow(row, tuple(parts))


def _plan_other(table: Table, row: Row, config: ReproductionConfig) -> PlannedRow:
    """A row that is not asked for, and that --epochs, say, need not fit."""
    try:
        return _plan(table, row, config)
    except InputError as error:
        return PlannedRow(row, (), first_line(error).rstrip("."))


def check_rows(tables: Sequence[Table], rows: Sequence[str]) -> None:
    """InputError, with the near ones, for the name of a row that no table has."""
    known = [row.name for table in tables for row in table.rows]
    for name in rows:
        if name not in known:
            raise InputError(f"No row is called {name!r}{near_names(name, known)}; the rows are {'; '.join(known)}.")


def check_length(tables: Sequence[Table], config: ReproductionConfig) -> None:
    """InputError where what is changed of the trainings changes nothing, as no row that is asked for trains."""
    given = [f"--{name}" for name, value in vars(config.length).items() if value is not None]
    parts = [part for table in tables for planned in plan_rows(table, config) for part in planned.parts]
    if given and parts and not any(setting.trained == OWN for setting, _, _ in parts):
        raise InputError(f"None of these rows is trained, so that {given[0]} changes nothing; leave it out.")


def check_needs(tables: Sequence[Table], config: ReproductionConfig) -> None:
    """InputError that lists all that the rows need and that is not here, before any of them is run."""
    missing: dict[Missing, list[str]] = {}
    for table in tables:
        for planned in plan_rows(table, config):
            what = f"{table.id}, {planned.row.name!r}"
            for setting, training, measured in planned.parts:
                if measured.is_done(config.out):
                    continue
                own = {setting.train, f"pictures of {setting.train}"} if setting.train != setting.test else set()
                trained = own if training is not None and training.is_done(config.out) else set()
                for one in missing_of(setting, what, config.places):
                    if one.what not in trained:
                        missing.setdefault(one, []).append(planned.row.name)
    if missing:
        listed = "; ".join(
            f"{one.sentence()} (for {first_few(list(dict.fromkeys(names)), 3)})" for one, names in missing.items()
        )
        other = ", or take --scale field, which needs the field data and packaged weights alone"
        raise InputError(
            f"Nothing was started, as this is missing: {listed}. Get it, or choose other rows with --rows"
            f"{other if config.scale == 'paper' else ''}."
        )


# --- running ---------------------------------------------------------------------------------------------------------


def reproduce(
    table: Table,
    config: ReproductionConfig,
    progress: Progress = no_progress,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[TableResult]:
    """Run the rows that are asked for one after another. Gives the whole table after each row, and at the end once
    more; nothing where no row of it is asked for.

    progress: shows a bar over the objects that are measured.
    say: called with a line before each training and measurement.
    A row whose training or measurement fails has its sentence in the place of figures and does not stop the others.
    """
    failed: dict[str, str] = {}  # name of a training -> its error, so that no row tries it again
    if not any(config.asks(row) for row in table.rows):
        return
    planned = [(_plan if config.asks(row) else _plan_other)(table, row, config) for row in table.rows]
    rows: list[RowResult] = []
    later: list[RowResult] = []  # what is there of the rows after these
    first: PlannedRow | None = None
    for number, one in enumerate(planned):
        trains = any(training is not None and not training.is_done(config.out) for _, training, _ in one.parts)
        if run := config.asks(one.row):
            rows.append(_run(one, first, table, config, failed, progress, say))
        else:
            rows.append(_found(one, first, table, config))
        later = later[1:]
        if first is None or (run and trains):  # their changes are from another row now, or their model is another
            if first is None and rows[-1].status == MEASURED:
                first = one
            later = [_found(other, first, table, config) for other in planned[number + 1 :]]
        yield _whole(table, config, planned, [*rows, *later])
    rows = _read_again(planned, rows, table, config)
    whole = _whole(table, config, planned, rows)
    if config.scale == "field":
        done = [one for one, result in zip(planned, rows, strict=True) if result.status == MEASURED]
        measured = [part for one in done for _, _, part in one.parts]
        try:
            trivial = best_baselines(measured, table.metrics, config.places, config.out, progress)
            whole = replace(whole, trivial=tuple(trivial))
        except Exception as error:  # the rows are not lost for it
            say(f"the trivial baselines could not be measured: {first_line(error)}")
    yield whole


def _read_again(
    planned: Sequence[PlannedRow], rows: Sequence[RowResult], table: Table, config: ReproductionConfig
) -> list[RowResult]:
    """The rows with those that other processes have measured into the folder meanwhile."""
    first: PlannedRow | None = None
    again: list[RowResult] = []
    for one, result in zip(planned, rows, strict=True):
        found = _found(one, first, table, config) if result.status in (MEASURED, NOT_YET) else result
        again.append(found if found.status == MEASURED else result)
        if first is None and again[-1].status == MEASURED:
            first = one
    return again


def _whole(
    table: Table, config: ReproductionConfig, planned: Sequence[PlannedRow], rows: Sequence[RowResult]
) -> TableResult:
    shown = [one for one, result in zip(planned, rows, strict=True) if result.status != NOT_YET]
    own = [t.configs for one in shown for setting, t, _ in one.parts if t is not None and setting.trained == OWN]
    items = tuple(sorted({configs.items for configs in own if configs.items}))
    seeds = tuple(sorted({configs.recipe.seed for configs in own}))
    return TableResult(table, config, tuple(rows), items, seeds)


def _run(
    planned: PlannedRow,
    first: PlannedRow | None,
    table: Table,
    config: ReproductionConfig,
    failed: dict[str, str],
    progress: Progress,
    say: Callable[[str], None],
) -> RowResult:
    if (without := _without_run(planned, config)) is not None:
        return without
    try:
        for _, training, _ in planned.parts:
            if training is None:
                continue
            if training.is_done(config.out):
                check_labels(training, config.places, config.out)
            else:
                _train(training, config, failed, say)
        found = []
        for setting, _, measured in planned.parts:
            if not measured.is_done(config.out):
                say(f"measuring {planned.row.name} ({measured.name}, split {setting.split})")
            found.append(measure(measured, config.places, config.out, config.device, config.command, progress))
        return _collected(planned, found, first, table, config)
    except Exception as error:  # an error of torch or of a disk as well must not lose the other rows
        return RowResult(planned.row, FAILED, first_line(error).rstrip("."), trainings=_names(planned))


def _found(planned: PlannedRow, first: PlannedRow | None, table: Table, config: ReproductionConfig) -> RowResult:
    """What is there of a row that is not run, or not run yet."""
    if (without := _without_run(planned, config)) is not None:
        return without
    try:
        if not all(measured.is_done(config.out) for _, _, measured in planned.parts):
            return RowResult(planned.row, NOT_YET)
        for _, training, _ in planned.parts:
            if training is not None:
                check_labels(training, config.places, config.out)
        found = [measured_before(measured, config.places, config.out) for _, _, measured in planned.parts]
        return _collected(planned, found, first, table, config)
    except Exception as error:
        return RowResult(planned.row, NOT_YET, first_line(error).rstrip("."))


def _without_run(planned: PlannedRow, config: ReproductionConfig) -> RowResult | None:
    """The result of a row that there is nothing to run for; None for others."""
    row = planned.row
    if row.published:
        return RowResult(row, PUBLISHED, row.published)
    if planned.why:
        return RowResult(row, NOT_YET, planned.why)
    if planned.parts:
        return None
    settings = row.settings.get(config.scale, ())
    why = row.why or f"it is not asked at {config.scale} scale"
    return RowResult(row, COMPARED if settings else NOT_RUN, why if not settings else row.why)


def _train(training: Training, config: ReproductionConfig, failed: dict[str, str], say: Callable[[str], None]) -> None:
    if training.name in failed:
        raise InputError(failed[training.name])
    say(f"training {training.name}")
    try:
        train(training, TrainingWay(config.places, config.out, config.quiet, config.launch))
    except Exception as error:
        failed[training.name] = first_line(error)
        raise


def _names(planned: PlannedRow) -> tuple[str, ...]:
    names = [setting.held_out if training is None else training.name for setting, training, _ in planned.parts]
    return tuple(dict.fromkeys(names))


def _collected(
    planned: PlannedRow, found: Sequence[dict], first: PlannedRow | None, table: Table, config: ReproductionConfig
) -> RowResult:
    """The figures of a measured row."""
    out, figures, changes = config.out, {}, {}
    several = config.scale == "paper" and len(table.splits) > 1
    for metric in table.metrics:
        own: list[Figure] = []
        more: list[Figure | None] = []
        for number, ((setting, _, measured), results) in enumerate(zip(planned.parts, found, strict=True)):
            folder, mean = measured.folder(out), setting.mean
            own.append(figure(folder, results, metric, mean))
            paired = None if first is None else first.parts[number][2].folder(out)
            more.append(None if paired is None else change(paired, folder, metric, mean))
            column = _column(metric, setting.split, table, several)
            figures[column] = own[-1]
            if (last := more[-1]) is not None:
                changes[column] = last
        if several:
            figures[_column(metric, MEAN, table, several)] = Figure(_mean([one.value for one in own]))
            if all(one is not None for one in more):
                changes[_column(metric, MEAN, table, several)] = Figure(_mean([one.value for one in more if one]))
    trainings = {t.name: t for _, t, _ in planned.parts if t is not None}
    return RowResult(
        planned.row,
        MEASURED,
        figures=figures,
        changes=changes,
        trainings=_names(planned),
        measurements=tuple(measured.name for _, _, measured in planned.parts),
        objects=sum(results.get("objects", 0) for results in found),
        training_seconds=sum(t.about(out).get("seconds", 0.0) for t in trainings.values()),
        measuring_seconds=sum(measured.seconds(out) for _, _, measured in planned.parts),
    )


def _column(metric: str, split: str, table: Table, several: bool) -> str:
    if not several:
        return metric
    return split_column(split) if len(table.metrics) == 1 else f"{split_column(split)}/{metric}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
