"""What a reproduction would run: its trainings and measurements, on how much data, and what is missing."""

from collections.abc import Iterator, Sequence

from .needs import missing_of
from .table_run import ReproductionConfig, plan_rows
from .tables import Table


def plan_lines(tables: Sequence[Table], config: ReproductionConfig) -> Iterator[str]:
    """Lines that say what would be run, and what is done already."""
    seen: set[str] = set()
    for table in tables:
        yield f"{table.id}: {table.title} ({table.paper}, {table.place}), at {config.scale} scale"
        for planned in plan_rows(table, config):
            if not planned.parts:
                why = planned.row.published or planned.row.why or f"not asked at {config.scale} scale"
                yield f"  {planned.row.name}: not run ({why})"
                continue
            yield f"  {planned.row.name}"
            for setting, training, measured in planned.parts:
                if training is not None and training.name not in seen:
                    seen.add(training.name)
                    state = "done" if training.is_done(config.out) else _length(training)
                    yield f"    train {training.name} on {setting.train}: {state}"
                model = setting.held_out if training is None else training.name
                state = " (done)" if measured.is_done(config.out) else ""
                yield f"    {setting.measure} {model} on {setting.test}{state}"
                for one in missing_of(setting, f"{table.id}, {planned.row.name!r}", config.places):
                    yield f"    missing: {one.sentence()}"


def _length(training) -> str:  # type: ignore[no-untyped-def]
    recipe, items = training.configs.recipe, training.configs.items
    if items:
        return f"{items} items"
    return f"{recipe.steps} steps" if recipe.steps else f"{recipe.epochs} epochs"
