"""The app of a server: its API, its page, what it tells of itself, and what every request must pass."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from .guards import Gate
from .openapi import describe, refusals
from .refusals import add_handlers
from .routes import api_router
from .schemas import HealthAnswer, ReadyAnswer
from .server_limits import ServerLimits
from .service import Service

PAGE = Path(__file__).with_name("page")
TEXT = "text/plain; version=0.0.4; charset=utf-8"


def build_app(
    service: Service,
    limits: ServerLimits | None = None,
    token: str | None = None,
    hosts: Collection[str] = (),
    project: Path | None = None,
    pictures: Sequence[Path] = (),
    tools: Sequence[APIRouter] = (),
) -> FastAPI:
    """The app, which starts and stops the service with itself.

    service: the models.
    limits: None takes the service's.
    token: that requests must bring, see `guards.GUARDED`; None needs none.
    hosts: names in the header Host that are answered beside those of loopback; "*" takes any.
    project: a folder of a labelling project, which the page then works on; None has none.
    pictures: folders whose pictures are added to the project; they stay where they are.
    tools: the addresses that other tools speak with, see `adapters`.
    """
    limits = service.limits if limits is None else limits

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    # FastAPI's own pages of documentation load their scripts from elsewhere.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Gate, limits=limits, metrics=service.metrics, hosts=hosts, token=token)
    add_handlers(app)
    app.include_router(api_router(service))
    _add_state(app, service)
    for router in tools:
        app.include_router(router)
    if project is not None:
        app.include_router(_project_router(service, project, pictures))

    @app.get("/", include_in_schema=False)
    def home() -> Response:
        return RedirectResponse("/page/")

    app.mount("/page", StaticFiles(directory=PAGE, html=True), name="page")
    describe(app, "anykeypoint", _version(), token is not None)
    return app


def _add_state(app: FastAPI, service: Service) -> None:
    """The addresses that tell how the server is."""

    @app.get("/healthz", responses={200: {"model": HealthAnswer}, **refusals(403, 429)})
    async def healthz() -> Response:
        """Whether the server is alive."""
        return JSONResponse({"alive": True})

    @app.get("/readyz", responses={200: {"model": ReadyAnswer}, 503: {"model": ReadyAnswer}, **refusals(403, 429)})
    async def readyz() -> Response:
        """Whether all models are loaded and gave the same answer twice; 503 with the progress until then."""
        body: dict[str, Any] = asdict(service.progress)
        body |= {"names": list(service.models), "hashes": service.hashes}
        return JSONResponse(body, 200 if service.ready else 503)

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **refusals(401, 403, 429)},
    )
    async def metrics() -> Response:
        """Counters in the text form of Prometheus."""
        return Response(service.metrics.text(), media_type=TEXT)


def _project_router(service: Service, project: Path, pictures: Sequence[Path]) -> Any:
    from .project_routes import project_router  # only where there is a project: it imports torch, which takes seconds

    return project_router(service, project, pictures)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("anykeypoint")
    except PackageNotFoundError:  # the source folder without an installation
        return "0"
