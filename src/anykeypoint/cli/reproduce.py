"""`anykeypoint reproduce`: tables of the papers, trained, measured and written beside the printed figures."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from . import console, options

if TYPE_CHECKING:
    from ..reproduction.places import Places
    from ..reproduction.table_run import ReproductionConfig
    from ..reproduction.tables import Table


def complete_tables(incomplete: str) -> list[str]:
    """The ids of tables that begin with what was typed so far, for the shell."""
    from ..reproduction.tables import all_tables

    return [name for name in all_tables() if name.startswith(incomplete)]


def run(
    tables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TABLE...",
            help="The tables, such as capellm-table-9; --list shows all.",
            show_default=False,
            autocompletion=complete_tables,
        ),
    ] = None,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder that the labels and pictures of the tables lie in.")
    ] = Path("data"),
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder with published weights, a folder for each network by the last part of its hub id; by "
            "default the hub's cache and packages.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="For pages, trainings and evaluations; a stopped run goes on from it."
        ),
    ] = Path("reproduced"),
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="paper, which is taken unless said: the paper's models and data; field: small models on the field "
            "data, the same items for every row.",
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Run only these rows, with ; between them; all by default. Pages have those that were run before too.",
        ),
    ] = None,
    items: Annotated[
        int | None,
        typer.Option(metavar="N", help="Training items of every row at field scale; by default the table's."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Passes over the training data; by default the paper's.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of the trainings; the recipe's by default.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be run, on how much data, and how long it takes.")
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Print the rows with what they need here; all tables where none is named.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="With --list: write the rows as JSON too.")
    ] = None,
    launch: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Run each training by `accelerate launch` with this config file, on several GPUs or hosts.",
        ),
    ] = None,
    device: options.Device = "auto",
) -> int:
    """Reproduce tables of the papers: train, measure, and put the figures beside the printed ones.

    What is trained and measured already is not done again. Exit code 1 where a row failed.
    """
    from ..configs.checks import check_choice, check_whole
    from ..io import check_folder
    from ..reproduction.configured import Length
    from ..reproduction.launching import processes_of
    from ..reproduction.places import Places
    from ..reproduction.settings import SCALES
    from ..reproduction.table_page import check_pages
    from ..reproduction.table_run import ReproductionConfig, check_length, check_needs, check_rows
    from ..reproduction.tables import all_tables, find_table

    if scale is not None:
        check_choice(scale, "--scale", SCALES)
    for value, option, least in ((items, "--items", 1), (epochs, "--epochs", 1), (seed, "--seed", 0)):
        if value is not None:
            check_whole(value, option, least)
    if items is not None and epochs is not None:
        raise InputError("--items is in the place of --epochs; leave one of them out.")
    if model is not None and not model.is_dir():
        raise InputError(f"There is no folder {model}; give --model the folder with the published weights.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("reproduce runs as one process; give accelerate's config file as --launch instead.")
    if launch is not None:
        processes_of(launch)
    if device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"  # trainings too leave a GPU alone
    chosen = [find_table(name) for name in dict.fromkeys(tables or ())]
    places = Places(data, model)
    names = tuple(name.strip() for name in (rows or "").split(";") if name.strip())
    if rows is not None and not names:
        raise InputError(f"--rows names no row, but got {rows!r}; leave it out for all rows.")
    check_rows(chosen or list(all_tables().values()), names)
    if listed:
        unused = {
            "--items": items,
            "--epochs": epochs,
            "--seed": seed,
            "--launch": launch,
            "--dry-run": dry_run or None,
        }
        if given := [option for option, value in unused.items() if value is not None]:
            raise InputError(f"--list runs nothing, so that {given[0]} changes nothing; leave it out.")
        return print_list(chosen or list(all_tables().values()), places, names, scale, json_file)
    if not chosen:
        raise InputError("Name at least one table, such as capellm-table-9; --list shows all of them.")
    if json_file is not None:
        raise InputError("--json is for --list; the figures of a table are written as JSON anyway.")
    scale = scale or "paper"
    if items is not None and scale != "field":
        raise InputError("--items is for --scale field; leave it out, or take --epochs.")
    check_folder(out)
    command = shlex.join(["anykeypoint", *sys.argv[1:]])
    length = Length(items, epochs, seed)
    config = ReproductionConfig(places, out, scale, length, names, device, console.is_quiet(), launch, command)
    check_length(chosen, config)
    if dry_run:
        return print_plan(chosen, config)
    check_pages(chosen, config)
    check_needs(chosen, config)
    return run_tables(chosen, config)


def run_tables(tables: "list[Table]", config: "ReproductionConfig") -> int:
    """Run the tables one after another; their pages are written anew after each row."""
    from ..reproduction.table_page import markdown, write_pages
    from ..reproduction.table_run import FAILED, reproduce

    failed = 0
    for table in tables:
        result = None
        for result in reproduce(table, config, console.track, console.note):
            paths = write_pages(result)
        if result is not None:
            print(markdown(result))
            print(f"Written to {', '.join(str(path) for path in paths)}")
            for one in result.rows:
                if one.status == FAILED:
                    console.error(f"{table.id}, {one.row.name!r}: {one.why}.")
                    failed += 1
    return 1 if failed else 0


def print_list(
    tables: "list[Table]", places: "Places", names: tuple[str, ...], scale: str | None, json_file: Path | None
) -> int:
    """Print the status of the rows of these names, of all where there are none, and write it as JSON where a file is
    given."""
    from ..io import write_bytes
    from ..reproduction.status import statuses
    from ..reproduction.table_page import text_table

    found = [one for one in statuses(tables, places, scale) if not names or one.row in names]
    print(text_table(("table", "row", "status"), [(one.table, one.row, one.status) for one in found]))
    counts: dict[str, int] = {}
    for one in found:
        kind = one.status if not one.status.startswith("needs ") else " ".join(one.status.split()[:2])
        counts[kind] = counts.get(kind, 0) + 1
    print("; ".join(f"{count} {kind}" for kind, count in counts.items()))
    if json_file is not None:
        write_bytes(json_file, (json.dumps([vars(one) for one in found], indent=1) + "\n").encode())
        print(f"Written to {json_file}")
    return 0


def print_plan(tables: "list[Table]", config: "ReproductionConfig") -> int:
    """Print what would be run."""
    from ..reproduction.estimate import plan_lines

    for line in plan_lines(tables, config):
        print(line)
    return 0
