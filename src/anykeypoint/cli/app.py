"""The table of verbs, and the program that runs one of them.

A verb is a module with a function `run`, whose signature declares its options and which returns the exit code (None
counts as 0). The module is imported when the verb is called or its own help is printed; `anykeypoint --help` takes the
summaries from the table.
"""

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from ..configs.checks import near_names
from ..errors import InputError, ReadingWarning, RenamedWarning, first_line
from . import console, options

EXIT_CODES = (
    "Exit codes: 0 all went well; 1 some of the work failed, each failure is named on stderr, or a check found "
    "something; 2 the request cannot be carried out, and nothing was started; 130 interrupted, what was done is kept."
)
SETTINGS: dict[str, Any] = {
    "rich_markup_mode": None,  # brackets in help texts are brackets, not markup
    "pretty_exceptions_enable": False,
}


@dataclass(frozen=True)
class Verb:
    """A verb of the command line.

    module: module of this package that has the verb's function `run`.
    summary: the line in the list of verbs, which is the first sentence of the function's docstring.
    goes_on: whether the same command goes on where it was interrupted.
    """

    module: str
    summary: str
    goes_on: bool = False


DATA_VERBS = {
    "list": Verb(
        "data.list", "List the data sets that are known by name, and the forms of labels that can be read and written."
    ),
    "check": Verb("data.check", "Count what there is of each category and list what is wrong with it."),
    "view": Verb("data.view", "Draw a contact sheet of labelled objects with their points and names."),
    "convert": Verb("data.convert", "Write labels in another form, and say what that form has no room for."),
    "split": Verb("data.split", "Split labels into train, val and test, whole categories or groups on one side."),
    "prepare": Verb("data.prepare", "Build MP-100's folders from the data sets they come from."),
    "draw": Verb("data.draw", "Draw a data set of made-up objects with named points, in COCO's form."),
    "render": Verb("data.render", "Render 3-D models of many kinds with exact named points, in COCO's form."),
}
VERBS = {
    "predict": Verb("predict", "Predict the keypoints of objects in pictures, from words, examples or both."),
    "identify": Verb("identify", "Name the keypoint at a point of a picture, out of a category's names."),
    "categories": Verb("categories", "List the library's categories, or the points of one; or check them."),
    "evaluate": Verb("evaluate", "Measure a model on labelled objects, with baselines on the same ones.", goes_on=True),
    "density": Verb(
        "density", "Compare a model's densities with Gaussians of one width on labelled objects.", goes_on=True
    ),
    "calibrate": Verb(
        "calibrate",
        "Fit how sure a model is to labelled objects that it was not trained on, and write a copy of it that keeps it.",
    ),
    "train": Verb(
        "train", "Train a CapeLLM, a KptLLM, a matcher, a few-shot baseline or an image-text model.", goes_on=True
    ),
    "reproduce": Verb(
        "reproduce",
        "Reproduce tables of the papers: train, measure, and put the figures beside the printed ones.",
        goes_on=True,
    ),
    "adapt": Verb("adapt", "Adapt a matcher to a new kind of object with 20 to 50 labelled pictures, in minutes."),
    "suggest": Verb("suggest", "Name the pictures of a folder that are worth labelling first, the best one first."),
    "simulate-labelling": Verb(
        "simulate_labelling",
        "Play the labelling loop on labelled data, and report what a person has to correct.",
    ),
    "convert": Verb("convert", "Make a model folder of a checkpoint of the released CapeFormer, GraphCape or CapeX."),
    "export": Verb("export", "Write a matcher as an ONNX file."),
    "weights": Verb("weights", "Fetch the weights that a model needs, so that it works offline afterwards."),
    "serve": Verb("serve", "Serve predictions over HTTP and the page, on this machine alone unless there is a token."),
    "info": Verb("info", "Print versions, devices, fetched weights and where disk space goes."),
}
DATA_SUMMARY = "Look after labelled data."


class LazyGroup(TyperGroup):
    """A group of verbs that imports the module of a verb when the verb is used."""

    verbs: ClassVar[dict[str, Verb]] = DATA_VERBS
    groups: ClassVar[dict[str, str]] = {}  # summary of each group of verbs in this group

    def list_commands(self, ctx: typer.Context) -> list[str]:
        return [*self.verbs, *self.groups]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:
        """The command of that name; ends with exit code 2 and a near name where there is none."""
        if cmd_name in self.verbs:
            return build_command(cmd_name, self.verbs[cmd_name])
        if cmd_name in self.groups:
            return build_group(cmd_name)
        near = near_names(cmd_name, self.list_commands(ctx))
        return ctx.fail(f"There is no verb {cmd_name!r}{near}; verbs are {', '.join(self.list_commands(ctx))}.")

    def get_help_option(self, ctx: typer.Context) -> Any:
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False  # see `build_group`
        return option

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:
        summaries = {name: verb.summary for name, verb in self.verbs.items()} | self.groups
        with formatter.section("Commands"):
            formatter.write_dl(list(summaries.items()))


class RootGroup(LazyGroup):
    verbs = VERBS
    groups: ClassVar[dict[str, str]] = {"data": DATA_SUMMARY}


def build_command(name: str, verb: Verb) -> Any:
    """Import a verb's module and build the command that parses its options."""
    function = import_module(f".{verb.module}", __package__).run
    single = typer.Typer(add_completion=False, **SETTINGS)
    single.command(name, epilog=EXIT_CODES)(_with_volume(function, verb.goes_on))
    return typer.main.get_command(single)


def build_group(name: str | None = None) -> Any:
    """The group `data`, or without a name the whole program."""
    if name is None:
        app = typer.Typer(cls=RootGroup, no_args_is_help=True, epilog=EXIT_CODES, **SETTINGS)
        app.callback()(_root)
    else:
        app = typer.Typer(cls=LazyGroup, add_completion=False, no_args_is_help=True, epilog=EXIT_CODES, **SETTINGS)
        app.callback(help=DATA_SUMMARY)(lambda: None)
    group = typer.main.get_command(app)
    group.name = name
    for parameter in group.params:
        parameter.default = False  # typer's own flags default to None, and it imports pydantic to parse a None
    return group


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on `arguments`, by default those of the process, and end the process with an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None where it was closed
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # file names need not be text
    console.set_volume(quiet=False, verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's warning is no concern of a user; -v shows them
        for kind in (ReadingWarning, RenamedWarning):
            warnings.simplefilter("always", kind)
        warnings.showwarning = _show_warning
        try:
            build_group()(None if arguments is None else list(arguments), prog_name="anykeypoint")
        except InputError as error:
            console.error(str(error))
            sys.exit(2)
        except OSError as error:  # such as a full disk behind a redirected stdout; what a verb writes has its own check
            place = f" with {error.filename}" if error.filename else ""
            console.error(f"Cannot go on{place}: {first_line(error)}.")
            sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(f"anykeypoint {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Find keypoints of any object from words or an example."""


def _with_volume(function: Callable[..., int | None], goes_on: bool) -> Callable[..., None]:
    """A verb's function with the options -q and -v beside its own, which exits with the code it returns.

    goes_on: as of a `Verb`.
    """

    @functools.wraps(function)
    def command(quiet: bool, verbose: bool, **given: Any) -> None:
        if quiet and verbose:
            raise InputError("-q prints less and -v prints more; give one of them.")
        console.set_volume(quiet, verbose)
        try:
            raise typer.Exit(function(**given) or 0)
        except KeyboardInterrupt:
            if goes_on:
                console.note("Interrupted; the same command goes on from here.")
            raise

    signature = inspect.signature(function, eval_str=True)
    volume = {"quiet": options.Quiet, "verbose": options.Verbose}
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in volume.items()
    ]
    command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore
    command.__annotations__ = {**function.__annotations__, **volume}
    return command


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    console.note(f"note: {message}")
