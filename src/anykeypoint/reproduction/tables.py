"""The tables of the papers, read strictly from `experiments/tables`: one file a paper, one entry a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ..configs.checks import near_names
from ..configs.yaml_files import load_yaml
from ..errors import InputError
from .settings import SCALES, Setting, check_level, merged, setting_of, split_names

_FILE = ("paper", "prefix", "base", "field", "tables")
_TABLE = ("title", "place", "note", "metrics", "rows", "field", "why")
_ROW = ("row", "paper", "published", "field", "why")
MEAN = "mean"  # the column of the mean over the splits


@dataclass(frozen=True)
class Row:
    """A row of a table.

    table: name of its table, such as "table-9".
    name: what the paper calls it.
    paper: the figure that the paper prints for each column; None where it prints none.
    published: where a figure of others is from; such a row is shown and never run. "" for all others.
    why: why the row is not run, at field scale or at all; "" where it is.
    settings: scale -> its settings on each split; a scale at which it is not run has none.
    """

    table: str
    name: str
    paper: Mapping[str, Any]
    published: str
    why: str
    settings: Mapping[str, tuple[Setting, ...]]

    @property
    def measured(self) -> bool:
        """Whether the row is run at some scale."""
        return any(setting.measure != "hyperparameters" for of in self.settings.values() for setting in of)


@dataclass(frozen=True)
class Table:
    """A table of a paper, or a figure whose numbers are a table.

    id: what `reproduce` calls it, such as "capellm-table-9".
    name: its key in the file, such as "table-9".
    paper: title of the paper.
    title: what it is about.
    place: where the paper has it.
    note: what is to be known of its figures beside the settings.
    metrics: names of the metrics that the paper prints.
    splits: names of the splits that the paper prints, in its order.
    rows: its rows, in the paper's order.
    """

    id: str
    name: str
    paper: str
    title: str
    place: str
    note: str
    metrics: tuple[str, ...]
    splits: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of figures, see `columns_of`."""
        return columns_of(self.metrics, self.splits)


@dataclass(frozen=True)
class PaperTables:
    """All tables of a paper.

    paper: its title.
    prefix: what the ids of its tables begin with.
    tables: name, such as "table-9" -> the table.
    """

    paper: str
    prefix: str
    tables: Mapping[str, Table]

    def row(self, reference: str, what: str) -> Row:
        """The row that "TABLE/ROW" names; InputError where there is none. what: subject of the sentence."""
        table, _, name = reference.partition("/")
        if table not in self.tables:
            raise InputError(f"{what} names no table, {table!r}{near_names(table, self.tables)}; write TABLE/ROW.")
        names = [row.name for row in self.tables[table].rows]
        if name not in names:
            raise InputError(f"{what} names no row of {table}, {name!r}{near_names(name, names)}; it has {names}.")
        return self.tables[table].rows[names.index(name)]


def columns_of(metrics: Sequence[str], splits: Sequence[str]) -> tuple[str, ...]:
    """The columns of a table: the metrics of one split; of several the splits and their mean.

    A split is called "split1" where its name is a number. Several splits with several metrics have a column for both,
    "split1/mpck".
    """
    if len(splits) == 1:
        return tuple(metrics)
    each = [*(split_column(split) for split in splits), MEAN]
    if len(metrics) == 1:
        return tuple(each)
    return tuple(f"{split}/{metric}" for metric in metrics for split in each)


def split_column(split: str) -> str:
    """What a split's column is called."""
    return f"split{split}" if split.isdigit() else split


def table_files() -> list[Path]:
    """The shipped files of tables."""
    return sorted(Path(str(resources.files("anykeypoint") / "experiments" / "tables")).glob("*.yaml"))


@cache
def all_papers() -> tuple[PaperTables, ...]:
    """The tables of all papers that are shipped."""
    return tuple(read_tables(path) for path in table_files())


def all_tables() -> dict[str, Table]:
    """Every shipped table by its id."""
    return {table.id: table for paper in all_papers() for table in paper.tables.values()}


def find_table(wanted: str) -> Table:
    """The table of an id; InputError with the near ones for an unknown id."""
    known = all_tables()
    if wanted in known:
        return known[wanted]
    near = near_names(wanted, known)
    raise InputError(f"There is no table {wanted!r}{near}; `anykeypoint reproduce --list` shows all of them.")


def paper_of(table: Table) -> PaperTables:
    """The paper that a shipped table is of."""
    return next(paper for paper in all_papers() if table.id in {one.id for one in paper.tables.values()})


def read_tables(path: str | Path) -> PaperTables:
    """Read a file of tables. Raises InputError, with the file, table, row and key, for whatever does not fit."""
    data = load_yaml(path)
    what = Path(path).name
    _check_keys(data, what, _FILE, ("paper", "prefix", "base", "tables"))
    base = check_level(data["base"], f"{what}: base")
    field = check_level(data.get("field") or {}, f"{what}: field")
    tables = {}
    if not isinstance(data["tables"], Mapping):
        raise InputError(f"{what}: tables must be a mapping of tables by name, but got {data['tables']!r}.")
    for name, given in data["tables"].items():
        id = f"{data['prefix']}-{name}"
        tables[name] = _table(id, name, data["paper"], given, (base, field), f"{what}: {name}")
    paper = PaperTables(data["paper"], data["prefix"], tables)
    for table in tables.values():
        for row in table.rows:
            _check_start(paper, row, f"{what}: {table.name}, {row.name!r}")
    return paper


def _check_keys(data: Any, what: str, known: Sequence[str], needed: Sequence[str]) -> None:
    if not isinstance(data, Mapping):
        raise InputError(f"{what} must be a mapping, but got {data!r}.")
    for key in data:
        if key not in known:
            raise InputError(
                f"{what} has the unknown key {key!r}{near_names(key, known)}; known are {', '.join(known)}."
            )
    for key in needed:
        if key not in data:
            raise InputError(f"{what} lacks the key {key!r}.")


def _table(id: str, name: str, paper: str, given: Any, bases: tuple[Mapping, Mapping], what: str) -> Table:
    check_level(given, what, _TABLE)
    for key in ("title", "place", "metrics", "rows"):
        if key not in given:
            raise InputError(f"{what} lacks the key {key!r}.")
    own = {key: value for key, value in given.items() if key not in _TABLE}
    metrics = given["metrics"]
    if not isinstance(metrics, list) or not metrics or not isinstance(given["rows"], list):
        raise InputError(f"{what}: metrics and rows must be lists, but got {metrics!r} and {given['rows']!r}.")
    splits = split_names(merged(bases[0], own), what)
    columns = columns_of(metrics, splits)
    rows = [_row(name, row, given, bases, columns, what) for row in given["rows"]]
    names = [row.name for row in rows]
    if doubled := [one for one in names if names.count(one) > 1]:
        raise InputError(f"{what} has two rows {doubled[0]!r}; give each a name of its own.")
    texts = (given["title"], given["place"], given.get("note", ""))
    return Table(id, name, paper, *texts, tuple(str(metric) for metric in metrics), splits, tuple(rows))


def _row(
    table: str, given: Any, around: Mapping[str, Any], bases: tuple[Mapping, Mapping], columns: Sequence[str], what: str
) -> Row:
    """around: the table as the file has it. bases: the file's base and field."""
    check_level(given, f"{what}: a row", _ROW)
    if not isinstance(given.get("row"), str):
        raise InputError(f"{what}: a row needs a name, the text of `row`, but got {given.get('row')!r}.")
    what = f"{what}, {given['row']!r}"
    paper = given.get("paper") or {}
    if not isinstance(paper, Mapping):
        raise InputError(f"{what}: paper must be a mapping of columns to figures, but got {paper!r}.")
    if unknown := [column for column in paper if column not in columns]:
        raise InputError(
            f"{what}: paper has the column {unknown[0]!r}{near_names(unknown[0], columns)}; the table "
            f"has {', '.join(columns)}."
        )
    own = {key: value for key, value in given.items() if key not in _ROW}
    if given.get("published"):
        if own or "field" in given:
            raise InputError(f"{what} is a published figure and is not run; leave out {', '.join(own) or 'field'}.")
        return Row(table, given["row"], dict(paper), given["published"], "", {})
    settings, why = {}, given.get("why") or around.get("why") or ""
    shared = {key: value for key, value in around.items() if key not in _TABLE}
    settings["paper"] = _settings(merged(bases[0], shared, own), "paper", what)
    if settings["paper"][0].measure != "hyperparameters" and bases[1]:
        if any("field" in level and level["field"] is None for level in (around, given)):
            if not why:
                raise InputError(f"{what} cannot be asked at field scale; say in a sentence of `why` why not.")
        else:
            blocks = [check_level(level.get("field") or {}, f"{what}: field") for level in (around, given)]
            whole = merged(bases[0], bases[1], shared, blocks[0], own, blocks[1])
            settings["field"] = _settings(whole, "field", what)
    return Row(table, given["row"], dict(paper), "", why, settings)


def _settings(whole: Mapping[str, Any], scale: str, what: str) -> tuple[Setting, ...]:
    return tuple(setting_of(whole, scale, split, what) for split in split_names(whole, what))


def _check_start(paper: PaperTables, row: Row, what: str) -> None:
    """InputError where what a row starts from is no row of the paper, not run at that scale, or the row itself.

    What has no "/" is the name of a checkpoint, which is looked for where it is needed (`needs.missing_of`).
    """
    for scale in SCALES:
        current, seen = row, {(row.table, row.name)}
        while current.settings.get(scale) and "/" in (reference := current.settings[scale][0].start):
            current = paper.row(reference, f"{what}: start")
            if (current.table, current.name) in seen:
                raise InputError(f"{what}: start {reference!r} leads back to the same row; name another.")
            if scale not in current.settings:
                raise InputError(f"{what}: start {reference!r} is not run at {scale} scale; name another row.")
            seen.add((current.table, current.name))
