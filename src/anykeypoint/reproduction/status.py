"""Which rows can be run here, at which scale, and what the others need; all from the files and the machine."""

from collections.abc import Iterable
from dataclasses import dataclass

from .needs import Missing, missing_of
from .places import Places
from .settings import SCALES, Setting
from .tables import Row, Table


@dataclass(frozen=True)
class RowStatus:
    """Whether a row can be run.

    table, row: their names.
    status: "runs at paper scale", "runs at field scale", "needs data X", "needs weights Y", "published elsewhere" or
        "not run".
    why: what it needs at other scales, where a published figure is from, or why it is not run.
    """

    table: str
    row: str
    status: str
    why: str


def statuses(tables: Iterable[Table], places: Places, scale: str | None = None) -> list[RowStatus]:
    """The status of every row of the tables. scale: one of SCALES, at which alone it is asked; None for any."""
    scales = SCALES if scale is None else (scale,)
    return [
        RowStatus(table.id, row.name, *_status(table, row, places, scales)) for table in tables for row in table.rows
    ]


def _status(table: Table, row: Row, places: Places, scales: tuple[str, ...]) -> tuple[str, str]:
    if row.published:
        return "published elsewhere", row.published
    if not row.measured:
        return "not run", row.why or "these are values of a recipe, which a test compares with the configurations"
    what, missing = f"{table.id}, {row.name!r}", {}
    for scale in scales:
        if settings := [one for one in row.settings.get(scale, ()) if one.measure != "hyperparameters"]:
            missing[scale] = _missing(settings, what, places)
            if not missing[scale]:
                return f"runs at {scale} scale", _needs(missing, scale)
    if not missing:
        return "not run", row.why or f"it is not asked at {scales[0]} scale"
    scale = "paper" if "paper" in missing else "field"
    first = next((one for one in missing[scale] if one.kind == "data"), missing[scale][0])
    return f"needs {first.kind} {first.what}", _needs(missing) + (f"; not at field scale: {row.why}" if row.why else "")


def _missing(settings: Iterable[Setting], what: str, places: Places) -> list[Missing]:
    return list(dict.fromkeys(one for setting in settings for one in missing_of(setting, what, places)))


def _needs(missing: dict[str, list[Missing]], runs: str = "") -> str:
    """What is needed at each scale at which the row does not run."""
    parts = [
        f"at {scale} scale it needs {'; '.join(one.sentence() for one in found)}"
        for scale, found in missing.items()
        if scale != runs
    ]
    return "; ".join(parts)
