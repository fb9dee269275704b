"""`anykeypoint serve --tool`: which options go together, and what the server then answers."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from anykeypoint.cli.serve_tools import TOOLS, ToolOptions
from anykeypoint.errors import InputError

PICTURES = Path(__file__).resolve().parents[2] / "examples"
NOTHING = {"tools": (), "pictures": (), "category": None, "keypoints": None, "noun": None, "example": ()}
NOTHING |= {"detect": None, "device": "cpu"}


def options(**given):
    return ToolOptions(**{**NOTHING, **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tools": ("labelstudio",)}, "no tool 'labelstudio'.*label-studio"),
        ({"category": "animal_face"}, "name one with --tool"),
        ({"detect": "dog"}, "name one with --tool"),
        ({"tools": ("label-studio",), "category": "animal_face"}, "needs the one folder"),
        ({"tools": ("label-studio",), "pictures": (PICTURES, PICTURES), "category": "animal_face"}, "the one folder"),
    ],
)
def test_options_that_do_not_fit_together_are_refused_before_anything_is_loaded(given, said):
    with pytest.raises(InputError, match=said):
        options(**given).check()


def test_a_tool_without_anything_to_find_is_refused(client):
    asked = options(tools=("x-anylabeling",))
    asked.check()
    with pytest.raises(InputError, match="Say what to find"):
        asked.routers(client.service)


def test_without_a_tool_nothing_is_added(client):
    options().check()
    assert options().routers(client.service) == []


def test_each_tool_has_an_address_and_examples_count_from_the_start(client):
    asked = options(
        tools=TOOLS, pictures=(PICTURES,), example=(f"{PICTURES / 'paper_1.jpg'}:{PICTURES / 'paper_1.json'}",)
    )
    asked.check()
    app = FastAPI()
    for router in asked.routers(client.service):
        app.include_router(router)
    with TestClient(app) as asking:
        setup = asking.get("/label-studio/config.xml").text
        version = asking.post("/label-studio/setup", json={"schema": setup}).json()["model_version"]
        assert "top left corner of the sheet" in setup and version.startswith("tiny-"), "the example is part of it"
        assert list(asking.get("/x-anylabeling/v1/models").json()["data"]) == ["tiny"]
