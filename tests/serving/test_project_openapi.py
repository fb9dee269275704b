"""Requests made from the description of the project's addresses and those of the tools: none fails the server, and
every answer is one that it describes.

A tenth of the cases is tried by default, and all of them with ANYKEYPOINT_SOAK=1 (`make soak`).
"""

import json
import urllib.request

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies
from real_servers import SOAK
from schemathesis import GenerationMode
from server_calls import live, png
from stand_in import StandIn

from anykeypoint.category import Category
from anykeypoint.forms.registry import writable_forms
from anykeypoint.serving.adapters.label_studio import label_studio_router
from anykeypoint.serving.adapters.served import ServedTool
from anykeypoint.serving.adapters.tool_adapter import ToolAdapter
from anykeypoint.serving.adapters.x_anylabeling import x_anylabeling_router
from anykeypoint.serving.server_limits import ServerLimits
from anykeypoint.serving.service import Service

CASES = 60 if SOAK else 6  # of each operation
PICTURES = 3
PROJECT = "/v1/project"
LABELS = [
    *(f"GET {PROJECT}{path}" for path in ("", "/pictures", "/forms", "/export", "/export/file")),
    *(f"GET {PROJECT}/pictures/{{number}}{path}" for path in ("", "/image", "/part", "/density")),
    f"PUT {PROJECT}/category",
    f"POST {PROJECT}/category/doubts",
    f"POST {PROJECT}/pictures",
    f"PUT {PROJECT}/pictures/{{number}}/label",
    f"POST {PROJECT}/pictures/{{number}}/objects",
    f"POST {PROJECT}/pictures/{{number}}/identify",
    *(f"GET /label-studio/{path}" for path in ("health", "config.xml")),
    *(f"POST /label-studio/{path}" for path in ("setup", "predict", "webhook")),
    *(f"GET /x-anylabeling/{path}" for path in ("health", "v1/models", "v1/models/{model_id}/info")),
    "POST /x-anylabeling/v1/predict",
]
# What the description cannot say: bytes that are no picture (415, 422), numbers and names of nothing (404), a label
# that replaces another revision (409).
HONEST = ["2xx", "304", "400", "404", "409", "413", "415", "422"]


def asked(url, path, body=None, method="POST", kind="application/json"):
    request = urllib.request.Request(f"{url}{path}", body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    """The operations of a server with a project of a few pictures and both tools, by method and path."""
    folder, photos = tmp_path_factory.mktemp("served") / "project", tmp_path_factory.mktemp("photos")
    category = Category.from_text("nose; tail", name="fox")
    service = Service({"stand-in": StandIn}, ServerLimits())
    tool = ServedTool(service, ToolAdapter(category))
    tools = [label_studio_router(tool, photos), x_anylabeling_router(tool)]
    with live(service, project=folder, tools=tools) as (url, app):
        for seed in range(PICTURES):
            asked(url, f"{PROJECT}/pictures?name={seed}.png", png(seed), kind="application/octet-stream")
        asked(url, f"{PROJECT}/category", b'{"text": "nose; tail"}', "PUT")
        config = schemathesis.Config.from_dict({"checks": {"positive_data_acceptance": {"expected-statuses": HONEST}}})
        schema = schemathesis.openapi.from_dict(app.openapi(), config=config)
        schema.config.update(base_url=url)
        yield {one.ok().label: one.ok() for one in schema.get_all_operations()}


def near(case):
    """A case about what there is: numbers of pictures, most of them in the project, and forms that are written."""
    number = (case.path_parameters or {}).get("number")
    if isinstance(number, int):
        case.path_parameters["number"] = 1 + abs(number) % (PICTURES + 1)
    form = (case.query or {}).get("form")
    if isinstance(form, str):
        case.query["form"] = writable_forms()[len(form) % len(writable_forms())]
    return case


@pytest.mark.parametrize("label", LABELS)
def test_every_answer_is_one_that_the_description_has(operations, label):
    operation = operations[label]
    modes = (GenerationMode.POSITIVE,) if operation.method == "get" else tuple(GenerationMode)
    wanted = [operation.as_strategy(generation_mode=mode) for mode in modes]

    @hypothesis.settings(max_examples=CASES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(case=strategies.one_of([wanted[0].map(near), *wanted]))
    def check(case):
        case.call_and_validate()

    check()


def test_no_operation_is_left_out(operations):
    others = ("/v1/", "/healthz", "/readyz", "/metrics")  # of test_openapi
    left = [one for one in operations if PROJECT in one or not one.split(" ")[1].startswith(others)]
    assert sorted(left) == sorted(LABELS)
