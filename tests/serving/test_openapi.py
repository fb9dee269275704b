"""Requests made from the description of the API: none fails the server, and every answer is one that it describes.

A tenth of the 2,000 cases is tried by default, and all of them with ANYKEYPOINT_SOAK=1 (`make soak`).
"""

import json
import os

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies
from jsonschema_rs import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection
from server_calls import live, png
from stand_in import StandIn

from anykeypoint import Client
from anykeypoint.serving.server_limits import ServerLimits
from anykeypoint.serving.service import Service

POSTED = ("/v1/predict", "/v1/identify", "/v1/encode", "/v1/examples")
LABELS = [
    *(f"POST {path}" for path in POSTED),
    *(f"GET {path}" for path in ("/v1/categories", "/healthz", "/readyz", "/metrics")),
]
CASES = (2000 if os.environ.get("ANYKEYPOINT_SOAK") == "1" else 200) // len(POSTED)
# What the description cannot say: bytes that are no picture (415, 422), words that name two things (422), ids that
# nobody was given (404).
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
FREE = ("density", "fine", "mirror", "words", "presence")  # options that any value of fits any request
HONEST = ["2xx", "404", "413", "415", "422"]

schemathesis.openapi.format(
    "binary", strategies.sampled_from([png(0), png(1, form="JPEG"), png(2, 40, 30, "WEBP"), b"x"])
)


@pytest.fixture(scope="module")
def address():
    with live(Service({"stand-in": StandIn}, ServerLimits())) as (url, app):
        yield url, app.openapi()


@pytest.fixture(scope="module")
def operations(address):
    """The operations of the API by method and path."""
    url, document = address
    config = schemathesis.Config.from_dict({"checks": {"positive_data_acceptance": {"expected-statuses": HONEST}}})
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.config.update(base_url=url)
    return {one.ok().label: one.ok() for one in schema.get_all_operations()}


def generated(operation):
    """Requests that follow the description, and such that do not."""
    modes = (POSITIVE, NEGATIVE) if operation.method == "post" else (POSITIVE,)
    return strategies.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])


def meant(operation, image_id):
    """Requests about points that there are, in a picture that there is, with all options; those are answered."""
    words = {
        "/v1/predict": {"keypoints": "nose; tail", "boxes": [[1, 2, 20, 20]]},
        "/v1/identify": {"points": [[10, 20]], "keypoints": "nose; tail"},
        "/v1/examples": {"points": {"nose": [10, 20], "tail": None}},
        "/v1/encode": {},
    }[operation.path]

    def changed(case):
        alone = case.media_type == "application/json"
        body = case.body if isinstance(case.body, dict) else {}
        asked = body if alone else body.get("request") or {}
        asked = {name: value for name, value in asked.items() if name in FREE} | words
        files = {"image": png(), **({"request": asked} if asked else {})}
        case.body = {**asked, "image_id": image_id} if alone else files
        return case

    return operation.as_strategy(generation_mode=POSITIVE).map(changed)


def is_whole(case):
    """Whether a case sends what the description allows; a few of those that are meant to break it do."""
    if not isinstance(case.body, dict):
        return False
    sent = json.loads(json.dumps(case.body, default=str))  # bytes as texts
    if case.operation.path == "/v1/encode":
        return [name for name, value in sent.items() if value != []] == ["image"]  # nothing of an empty list is sent
    raw = case.operation.schema.raw_schema
    content = raw["paths"][case.operation.path][case.operation.method]["requestBody"]["content"]
    described = {**content[case.media_type]["schema"], "components": raw["components"]}
    return Draft202012Validator(described).is_valid(sent)


def settings(cases):
    return hypothesis.settings(max_examples=cases, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))


@pytest.mark.parametrize("label", LABELS)
def test_every_answer_is_one_that_the_description_has(operations, label):
    @settings(3 * CASES // 4)
    @hypothesis.given(case=generated(operations[label]))
    def check(case):
        case.call_and_validate(excluded_checks=[negative_data_rejection] if is_whole(case) else [])

    check()


@pytest.mark.parametrize("path", POSTED)
def test_what_is_answered_is_as_described(operations, address, path):
    image_id = Client(address[0]).encode(png()).id

    @settings(CASES // 4)
    @hypothesis.given(case=meant(operations[f"POST {path}"], image_id))
    def check(case):
        answer = case.call_and_validate(excluded_checks=[negative_data_rejection])
        assert answer.status_code in (200, 201)

    check()


def test_no_operation_is_left_out(operations):
    assert sorted(operations) == sorted(LABELS)
