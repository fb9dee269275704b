"""`anykeypoint serve`: predictions over HTTP, and a page to point and look."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..configs.checks import check_whole
from ..errors import InputError, first_line
from ..models.shipped import DEFAULT
from . import console, options
from .serve_tools import ToolOptions

MISSING = "The server needs the package {}; pip install 'anykeypoint[serve]'."
TOKEN_VARIABLE = "ANYKEYPOINT_TOKEN"


def run(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A shipped model's name, a folder or a hub id; may be repeated, then requests name one. "
            f"{DEFAULT} by default.",
            autocompletion=options.complete_models,
        ),
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; other machines need a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(metavar="N", help="The port; 0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file with the token that requests must bring; else that of the variable ANYKEYPOINT_TOKEN, if set.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name under which clients reach this server, beside localhost and --host; may be repeated.",
        ),
    ] = None,
    project: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The project folder that the page labels pictures in.")
    ] = None,
    pictures: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="A folder whose pictures are added to the project and stay where they are; may be repeated. With "
            "--tool label-studio the one folder that Label Studio serves.",
        ),
    ] = None,
    tool: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also answer label-studio or x-anylabeling, at the address of that name; may be repeated. --category, "
            "--keypoints or --example say what to find.",
        ),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="With --tool: a category of the library or a JSON/YAML file.",
            autocompletion=options.complete_categories,
        ),
    ] = None,
    keypoints: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With --tool: the keypoints in words, as for predict.")
    ] = None,
    noun: Annotated[str | None, typer.Option(metavar="TEXT", help="With --tool: the word for the object.")] = None,
    example: Annotated[
        list[str] | None,
        typer.Option(metavar="PICTURE:FILE", help="With --tool: a picture with its keypoints, as for predict."),
    ] = None,
    detect: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="With --tool: detect the objects first, by words parted by ';'."),
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", help="Objects that go through the model together.")] = 16,
    queue: Annotated[int, typer.Option(metavar="N", help="Objects that may wait; more are refused with 429.")] = 256,
    max_upload: Annotated[int, typer.Option(metavar="MB", help="The largest request, in MiB.")] = 20,
    drain: Annotated[
        int, typer.Option(metavar="SECONDS", help="How long requests under way may go on after SIGTERM.")
    ] = 30,
    device: options.Device = "auto",
    dtype: options.Dtype = "float32",
) -> int:
    """Serve predictions over HTTP and the page, on this machine alone unless there is a token."""
    try:
        import fastapi  # noqa: F401
        import multipart  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(MISSING.format(error.name)) from None
    from ..serving.app import build_app
    from ..serving.guards import check_listening
    from ..serving.running import listen, serve
    from ..serving.server_limits import ServerLimits
    from ..serving.service import Service

    if pictures and project is None and "label-studio" not in (tool or ()):
        raise InputError("--pictures adds to a project; give its folder too, as in --project my-project.")
    for value, what, least in ((batch, "--batch", 1), (queue, "--queue", 1), (max_upload, "--max-upload", 1)):
        check_whole(value, what, least)
    check_whole(drain, "--drain", 0)
    check_whole(port, "--port", 0)
    token = read_token(token_file)
    check_listening(host, token)
    names = list(dict.fromkeys(model or [DEFAULT]))
    for name in names:
        check_name(name)
    limits = ServerLimits(body_bytes=max_upload * 2**20, batch=batch, queue=queue, drain_seconds=float(drain))
    tools, shown = tuple(tool or ()), tuple(example or ())
    asked = ToolOptions(tools, tuple(pictures or ()), category, keypoints, noun, shown, detect, device)
    asked.check()
    service = Service({called: _loader(name, device, dtype) for called, name in _by_shown(names).items()}, limits)
    allowed = [host, *(allow_host or ())]
    app = build_app(service, limits, token, allowed, project, pictures or (), asked.routers(service))
    sock = listen(host, port)
    place = f"[{host}]" if ":" in host else host
    if not console.is_quiet():
        logging.basicConfig(format="%(message)s", level=logging.INFO)
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
    address = f"http://{place}:{sock.getsockname()[1]}/"
    print("\n".join([address, *(address + name for name in asked.tools)]), flush=True)
    serve(app, service, sock)
    return 0


def check_name(name: str) -> None:
    """InputError for a model that there is not. torch, which takes seconds, is imported for a hub id alone: until the
    model is loaded, the page is there and says so."""
    from ..models.shipped import find_shipped

    if find_shipped(name) is None and not Path(name).is_dir():
        from ..models.loading import find

        find(name)


def read_token(path: Path | None) -> str | None:
    """The token of a file, else of the environment; None where there is none. Raises InputError for an empty one."""
    if path is None:
        token = os.environ.get(TOKEN_VARIABLE)
        where = f"The variable {TOKEN_VARIABLE}"
    else:
        where = f"The token file {path}"
        try:
            token = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"{where} cannot be read: {first_line(error)}; check the path.") from error
    if token is not None and not token.strip():
        raise InputError(f"{where} is empty; write a token of 16 or more characters into it.")
    return None if token is None else token.strip()


def _by_shown(names: Sequence[str]) -> dict[str, str]:
    """What clients call a model -> the model: a folder by its own name, as its place is nobody's business."""
    found: dict[str, str] = {}
    for name in names:
        called = Path(name).resolve().name if Path(name).exists() else name
        if called in found:
            raise InputError(
                f"Clients would call both {found[called]} and {name} {called!r}; rename one of the two folders."
            )
        found[called] = name
    return found


def _loader(name: str, device: str, dtype: str) -> Any:
    def load() -> Any:
        from .. import load

        return load(name, device=device, dtype=dtype)

    return load
