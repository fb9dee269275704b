"""Which names look like English, and the warning of a model that reads nothing else."""

import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import tiny_matchers
import yaml

from anykeypoint.category import Category
from anykeypoint.errors import ReadingWarning
from anykeypoint.library.english import foreign_names, is_foreign
from anykeypoint.library.lookup import category, library_names

SOURCE = Path(__file__).resolve().parents[2] / "src" / "anykeypoint"
FOREIGN = {
    "german": "linkes Auge|Nase|Schwanzspitze|rechte Vorderpfote|Türgriff|obere linke Ecke|Ellenbogen|linkesAuge|Kopf",
    "french": "oreille gauche|nez|genou droit|bout de la queue|coin supérieur gauche|patte avant droite|épaule",
    "spanish": "ojo izquierdo|nariz|oreja derecha|punta de la cola|esquina superior izquierda|rodilla",
    "portuguese": "olho esquerdo|focinho|ponta da cauda|orelha direita|joelho",
    "italian": "occhio sinistro|orecchio destro|punta della coda|angolo in alto a sinistra|ginocchio",
    "dutch": "linkeroor|rechter voorpoot|staartpunt|neus|linker_oog|elleboog",
    "polish": "lewe oko|nos|prawe ucho|ogon",
    "russian": "левый глаз|нос|хвост",
    "chinese and japanese": "左目|鼻|右耳|左前脚|ひだり",
    "others": "vänster öga|svans|kuyruk|levé oko|vasen silmä|mata kiri|ekor|왼쪽 눈|عين|αριστερό μάτι",
}
PLAIN = (
    "gauge needle|chain links|façade|angle λ|T1 upper left corner|λ|left ear (middle)|crêpe|point 12|L_EarBase|kpt-3|"
    "pie crust|main sail|superior border|ala of the nose|fin base|coin rim|hinterland|queue|bout|strain gauge"
)


def strings(value):
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(one)


@pytest.mark.parametrize("language", FOREIGN)
def test_names_in_other_languages_are_foreign(language):
    assert [name for name in FOREIGN[language].split("|") if not is_foreign(name)] == []


def test_no_name_of_the_library_and_no_noun_is_foreign():
    names = [name for known in map(category, library_names()) for name in (*known.names, known.noun)]
    names += json.loads((SOURCE / "library" / "broader.json").read_text(encoding="utf-8"))
    assert len(set(names)) > 3000 and foreign_names(names) == []


def test_no_name_of_drawn_and_rendered_kinds_is_foreign():
    rendered = [
        name
        for file in sorted((SOURCE / "data" / "render" / "kinds").glob("*.yaml"))
        for name in strings(yaml.safe_load(file.read_text(encoding="utf-8")))
    ]
    code = "\n".join(file.read_text(encoding="utf-8") for file in (SOURCE / "data" / "synthetic").glob("*.py"))
    drawn = re.findall(r'"([^"\n]{3,60})"', code)
    assert len(rendered) > 300 and len(drawn) > 300 and foreign_names([*rendered, *drawn]) == []


def test_english_words_symbols_and_codes_are_not_foreign():
    assert foreign_names(PLAIN.split("|")) == []


def test_no_name_of_the_field_data_and_of_public_data_sets_is_foreign(shared):
    names = []
    for part in ("train", "val", "test"):
        labels = json.loads((shared / "data" / f"field2_{part}.json").read_text(encoding="utf-8"))
        names += [name for entry in labels["categories"] for name in (entry["name"], *entry["keypoints"])]
    for file in ("megakpt_names.json", "dataset_keypoints.json"):
        names += strings(json.loads((shared / "reference" / file).read_text(encoding="utf-8")))
    assert len(names) > 2000 and foreign_names(names) == []


def test_a_matcher_that_reads_english_alone_warns_once_and_only_without_an_example(tmp_path):
    model = tiny_matchers.matcher("evidence", tmp_path)
    model.text_encoder.kind = replace(model.text_encoder.kind, english=True)
    german = Category.from_text("linkes Ohr; Nase; tail; Schwanz; rear paw", name="fish", noun="fish")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not in English")
        model.predict(tiny_matchers.picture(), tiny_matchers.FISH)
        model.predict(tiny_matchers.picture(), german, example=tiny_matchers.example(category=None))
    with pytest.warns(ReadingWarning, match=r"it seems: 'linkes Ohr', 'Nase' and 1 more; the text") as w:
        model.predict(tiny_matchers.picture(), german)
        model.predict(tiny_matchers.picture(), german)
    assert sum("Not in English" in str(one.message) for one in w) == 1


def test_an_encoder_of_many_languages_says_nothing(tmp_path):
    model = tiny_matchers.matcher("evidence", tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not in English")
        model.predict(tiny_matchers.picture(), Category.from_text("Nase; Schwanz", noun="fish"))


@pytest.mark.parametrize("made", ["capellm", "kptllm"])
def test_a_language_model_that_reads_english_alone_warns_too(tmp_path, made):
    model = getattr(tiny, made)(tmp_path)
    german = Category.from_text("Nase; tail", noun="fish")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not in English")
        model.warn_of_language(german)  # of the tiny one nothing is known
    model.config = replace(model.config, language=replace(model.config.language, name="smollm2-135m"))
    with pytest.warns(ReadingWarning, match="'Nase'; the language model smollm2-135m understands English alone"):
        model.predict(tiny_matchers.picture(), german)
