"""What a page asks of one picture while other things change."""

import io

from PIL import Image

from anykeypoint.category import Category
from anykeypoint.labelling.background import BackgroundAnswers


def test_a_point_that_is_renamed_while_its_density_is_asked_for_is_no_fault(serving, tmp_path, monkeypatch):
    """A new point lies under the mouse while its name is written; the question waits for the picture under way."""
    client = serving(project=tmp_path / "project")
    for name in ("a.png", "b.png"):
        file = io.BytesIO()
        Image.effect_noise((64, 48), 80).save(file, "PNG")
        client.post(f"/v1/project/pictures?name={name}", content=file.getvalue())
    client.put("/v1/project/category", json={"text": "nose\npoint 2"})
    shown = {"points": {"nose": [30, 20, 2], "point 2": [20, 8, 2]}, "done": True, "example": True}
    assert client.put("/v1/project/pictures/2/label", json=shown).status_code == 200
    real = BackgroundAnswers.prompt

    def renamed_first(background, number):
        background.project.set_category(Category.from_text("nose; tail", name="object"), {"tail": "point 2"})
        return real(background, number)

    monkeypatch.setattr(BackgroundAnswers, "prompt", renamed_first)
    found = client.get("/v1/project/pictures/1/density")
    assert found.status_code == 200, found.text
    assert list(found.json()["densities"]) == ["nose", "tail"]
