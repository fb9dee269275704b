"""The wording of conversations: the forms to the letter, slots that are checked, and users' words that stay words."""

import json
from dataclasses import asdict

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plain import write_answer

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.instructions import DESCRIBE, Instruction, Point, instruction, instruction_names, neutral
from anykeypoint.library.lookup import category

FINDING = [name for name in instruction_names() if instruction(name).answers_points]
NOSE = Keypoint("nose", "The tip of the nose.")
CAT = Category("cat", (NOSE, Keypoint("tail"), Keypoint("left ear", "The highest point of the left ear.")), noun="cat")


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "capellm_text.json").read_text())


def keypoints(golden, category_id):
    entry = next(entry for entry in golden["categories"] if entry["id"] == category_id)
    return [Keypoint(*words) for words in zip(entry["keypoints"], entry["descriptions"], strict=True)]


def text(segments, points=None):
    """A conversation as one text; coordinates stand as <i>, or as the text of points[i]."""
    parts = []
    for segment in segments:
        if isinstance(segment, Point):
            parts.append(f" <{segment.keypoint}>" if points is None else f" {points[segment.keypoint]}")
        else:
            parts.append(segment.text)
    return "".join(parts)


def answered(segments):
    """What of a conversation the model is to write."""
    return text([segment for segment in segments if segment.answer])


def ask(name, keypoint=NOSE, **options):
    """The prompt about one keypoint of a cat."""
    return text(instruction(name).prompt(Category("c", (keypoint,), noun="cat"), 0, **options))


# --- the published form --------------------------------------------------------------------------------------------


def test_the_base_form_asks_as_the_released_code_does(golden):
    form = instruction("base")
    for case in golden["inference_prompts"]:
        points = keypoints(golden, case["category_id"])
        number = [point.name for point in points].index(case["keypoint"])
        assert text(form.prompt(Category("c", tuple(points)), number)) == case["text_after_image_tokens"]


def test_the_base_form_writes_training_conversations_as_the_released_code_does(golden):
    form, side = instruction("base"), golden["crop_size"]
    used = [case for case in golden["train_prompts"] if case["used"]]
    assert len(used) > 10
    for case in used:
        points, group, answers = keypoints(golden, case["category_id"]), [], {}
        for i in case["keypoint_ids"]:
            xy = [value / side for value in case["keypoints_crop_px"][i]]
            if case["visible"][i] and all(0 <= value < 1 for value in xy):
                group.append(i)
                answers[i] = write_answer(*xy)
        written = form.conversation(Category("c", tuple(points)), group)
        assert text(written, answers) == case["text_after_image_tokens"]


def test_the_base_form_never_names_the_object():
    assert (
        ask("base")
        == ask("base", noun="dog")
        == (
            "\nUser: Where is the nose of this object in this image? Please provide its coordinates.\n"
            "Reference: The tip of the nose.\nAssistant:"
        )
    )


# --- every form, to the letter -------------------------------------------------------------------------------------

QUESTION = "User: Where is the nose of this object in this image? Please provide its coordinates.\n"
OBJECT = (
    "USER: What do you think is the central object in this image?\n"
    "ASSISTANT: The object that this image is trying to express seems to be a cat.</s>"
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("base", f"\n{QUESTION}Reference: The tip of the nose.\nAssistant:"),
        ("brief", "\nReference: The tip of the nose.\nFind on this cat the nose:"),
        ("no_description", f"\n{QUESTION}Assistant:"),
        (
            "name_list",
            f"\nKeypoint list: nose, tail, left ear\n{QUESTION}Reference: The tip of the nose.\nAssistant:",
        ),
        ("diverse", f"\n{QUESTION}Reference: The tip of the nose.\nAssistant:"),
        (
            "locllm",
            "\nKeypoint: The tip of the nose.\nQuestion: Where is the nose of this cat in this image? "
            "Please provide its coordinates.\nAnswer:",
        ),
        (
            "step_by_step",
            f"\n{OBJECT}USER: Can you identify location of nose on the object? The tip of the nose. "
            "With this description, please provide its coordinates.\nASSISTANT:",
        ),
        (
            "direct_qa",
            "\nUSER: What is the name of a keypoint at <0> in the image? Tell me the name and why.\nASSISTANT:",
        ),
        (
            "step_by_step_qa",
            f"\nJoint list: nose, tail, left ear\n{OBJECT}"
            "USER: What joints can you identify on the cat in the image? Answer according to the order in the joint "
            "list.\nASSISTANT: The cat in the image seems to have several joints in the list, named nose, left ear. "
            "Those joints are visible in the image.</s>USER: Can you identify which joint is located at the coordinate "
            "<0>? This coordinate represent relative position within the image, where the top-left corner is defined "
            "as [0, 0] and the bottom-right corner as [1, 1]. For example, [0.5, 0.5] indicates the center of the "
            "image\nASSISTANT:",
        ),
    ],
)
def test_the_prompt_of_a_form_is_this(name, expected):
    assert text(instruction(name).prompt(CAT, 0, visible=[0, 2])) == expected


def test_the_forms_are_these():
    shapes = {"base", "brief", "no_description", "name_list", "outline", "diverse", "diverse_outline", "locllm"}
    assert set(FINDING) == {*shapes, "step_by_step"}
    assert set(instruction_names()) - set(FINDING) == {"direct_qa", "step_by_step_qa"}
    assert instruction("locllm").before == "Image: "


def test_an_outline_stands_in_front_of_the_same_conversation():
    for with_it, without in (("outline", "base"), ("diverse_outline", "diverse")):
        longer, shorter = (text(instruction(name).conversation(CAT, [0, 1])) for name in (with_it, without))
        assert longer.endswith(shorter) and longer.count("\n") == shorter.count("\n") + 1
    assert instruction("outline").opening == instruction("diverse_outline").opening


def test_diverse_wordings_are_many_all_about_the_keypoint_and_the_first_is_the_base_forms():
    wordings = instruction("diverse").wordings
    assert len(set(wordings)) == len(wordings) >= 20
    assert all(wording.count("{name}") == 1 for wording in wordings)
    assert wordings[0] == instruction("base").wordings[0]
    chosen = instruction("diverse").conversation(CAT, [0, 1], wordings=[3, 5])
    for segment, keypoint, wording in zip(chosen[::3], ("nose", "tail"), (3, 5), strict=True):
        assert f"User: {wordings[wording].format(name=keypoint)}\n" in segment.text


def test_the_answers_of_each_form_are_these():
    def answers(name):
        return answered(instruction(name).conversation(CAT, [2, 1], visible=[1, 2]))

    joints = " The cat in the image seems to have several joints in the list, named tail, left ear. Those joints are "
    objects = " The object that this image is trying to express seems to be a cat.</s>"
    for name in FINDING:
        assert answers(name) == (objects if name == "step_by_step" else "") + " <2></s> <1></s>"
    assert answers("direct_qa") == (
        " The keypoint name is left ear, because the left ear is the highest point of the left ear.</s>"
        " The keypoint name is tail.</s>"
    )
    assert answers("step_by_step_qa") == (
        f"{objects}{joints}visible in the image.</s> the joint located at coordinates is left ear.</s>"
        " the joint located at coordinates is tail.</s>"
    )


@pytest.mark.parametrize("name", instruction_names())
def test_a_prompt_is_the_conversation_up_to_its_answer(name):
    form = instruction(name)
    whole, prompt = form.conversation(CAT, [2], visible=[0]), form.prompt(CAT, 2, visible=[0])
    assert whole[: len(prompt)] == prompt and all(segment.answer for segment in whole[len(prompt) :])
    assert prompt[-1].text.endswith(":") and len(whole) - len(prompt) == 2  # the answer follows with its blank


@pytest.mark.parametrize("name", FINDING)
def test_further_rounds_follow_one_another_without_what_stands_in_front(name):
    form = instruction(name)
    both, first, second = (text(form.conversation(CAT, group)) for group in ([0, 2], [0], [2]))
    in_front = len(form.opening.format(noun="cat", names="nose, tail, left ear"))
    in_front += sum(len(f"{step.question} {step.answer}</s>".format(noun="cat")) for step in form.first)
    assert both == first + second[in_front:]


# --- descriptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FINDING)
def test_a_form_asks_by_name_and_description(name):
    given, without = ask(name), ask(name, describe="removed")
    assert "nose" in without and "The tip of the nose." not in without
    assert ("The tip of the nose." in given) == (name != "no_description")
    assert ask(name, Keypoint("nose")) == without


def test_a_description_can_be_given_in_five_ways_that_need_no_data():
    form = instruction("base")
    ways = [way for way in DESCRIBE if way != "simplified"]
    said = {way: text(form.prompt(CAT, 2, way)).split("coordinates.\n")[1] for way in ways}
    assert said == {
        "detailed": "Reference: The highest point of the left ear.\nAssistant:",
        "removed": "Assistant:",
        "replaced": "Reference: There is no description to refer to.\nAssistant:",
        "vague": "Reference: The left ear is one of the keypoints of the cat; it comes after the tail.\nAssistant:",
        "sentences": "Reference: The left ear is the highest point of the left ear.\nAssistant:",
    }
    assert "keypoints of the cat; it comes first.\n" in text(form.prompt(CAT, 0, "vague"))
    assert "Reference: There is no" in text(form.prompt(CAT, 1, "replaced"))  # also where there never was one
    mixed = text(form.conversation(CAT, [0, 2], ["removed", "detailed"]))
    assert "tip of" not in mixed and "highest point" in mixed


def test_mp100s_descriptions_can_be_simplified_and_vague_by_data():
    form, dog = instruction("base"), category("mp100/dog_body")
    said = {way: text(form.prompt(dog, 7, way)).split("coordinates.\n")[1] for way in ("simplified", "vague")}
    assert said == {
        "simplified": "Reference: Lower end of the front leg on the left side.\nAssistant:",
        "vague": "Reference: Starting from it, the remaining ones of its kind follow in turn.\nAssistant:",
    }
    with pytest.raises(InputError, match="no simplified words for"):
        form.prompt(CAT, 2, "simplified")
    assert "Reference" not in text(form.prompt(CAT, 1, "simplified"))  # where there is no description


def test_words_without_a_letter_are_no_sentence():
    for keypoint, expected in (
        (Keypoint("\u200b", "The tip."), "The keypoint name is , because the tip.</s>"),
        (Keypoint("nose", "\u200b"), "The keypoint name is nose.</s>"),
    ):
        category = Category("c", (keypoint,))
        for way in ("detailed", "sentences"):
            assert text(instruction("direct_qa").conversation(category, [0], way)).endswith(expected)


def test_a_description_that_goes_on_a_sentence_keeps_an_abbreviation():
    for said, expected in (
        ("The tip.", "because the x is the tip."),
        ("USB port, left.", "because the x is the USB port, left."),
    ):
        category = Category("c", (Keypoint("x", said),))
        assert expected in text(instruction("direct_qa").conversation(category, [0]))


@pytest.mark.parametrize("way", ["no", True, False, None, ["removed"], ""])
def test_an_unknown_way_to_describe_lists_the_known_ones(way):
    with pytest.raises(InputError, match="detailed, removed, replaced, vague, simplified, sentences, but got"):
        instruction("base").conversation(CAT, [0], [way])


@pytest.mark.parametrize("way", ["replaced", "vague", "simplified", "sentences"])
def test_a_form_without_descriptions_cannot_replace_them(way):
    with pytest.raises(InputError, match=f"'no_description' gives no descriptions, so none can be {way}"):
        instruction("no_description").prompt(CAT, 0, way)


# --- files ---------------------------------------------------------------------------------------------------------


def written(folder, **changes):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(changes))
    return str(path)


def test_a_file_of_ones_own_may_extend_a_form_and_change_a_few_keys(tmp_path):
    path = written(tmp_path, extends="base", wordings=["Show the {name} of the {noun}."], ending="<end>")
    form = instruction(path)
    assert form.name == "mine" and form.reference == instruction("base").reference
    assert text(form.conversation(CAT, [1])) == "\nUser: Show the tail of the cat.\nAssistant: <1><end>"
    assert instruction(form) is form
    stored = json.loads(json.dumps(asdict(form)))  # as a model's config.json holds it
    assert Instruction.from_dict(stored, "config.json") == form


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wordings": ["Where is the {nam}?"]}, r"wordings of .* has the unknown slot \{nam\}; valid are \{name\}, "),
        ({"wordings": ["Where is {name.x}?"]}, r"unknown slot \{name.x\}"),
        ({"wordings": ["Where is {name!r}?"]}, r"unknown slot \{name\}"),
        ({"wordings": ["Where is {}?"]}, r"unknown slot \{\}"),
        ({"wordings": ["Where is {name?"]}, "is no template"),
        ({"reference": "{name} {wording}"}, r"reference of .* valid are \{description\}, \{reason\}"),
        ({"ending": "{name}"}, r"ending of .* valid are none"),
        ({"opening": "{name}"}, r"opening of .* valid are \{noun\}, \{names\}"),
        ({"first": [{"question": "{name}", "answer": ""}]}, "first question of"),
        ({"first": [{"question": "a", "answer": "{visible}"}]}, "not known yet"),
        ({"first": [{"question": "a"}]}, "must have the texts question and answer"),
        ({"question": "Where?"}, r"without \{wording\}"),
        ({"wordings": []}, "no wordings"),
        ({"wordings": "Where?"}, "must be a list of texts"),
        ({"answer": "at {coordinates}"}, r"answer with \{coordinates\} alone"),
        ({"wordings": ["What is at {coordinates}?"]}, "gives away"),
        ({"wordings": ["What is at({coordinates})?"], "answer": "{name}"}, "behind a blank"),
        ({"reference": 3}, "reference must be text, but got 3"),
        ({"colour": "red"}, "unknown key 'colour'; known are extends, name"),
        ({"extends": "polite"}, "extends 'polite', which is no form; known are base"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(tmp_path, changes, words):
    with pytest.raises(InputError, match=words) as told:
        instruction(written(tmp_path, **{"extends": "base", **changes}))
    assert "\n" not in str(told.value)


def test_a_file_that_lacks_a_key_or_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="lacks the key 'wordings'"):
        instruction(written(tmp_path, question="{wording}"))
    with pytest.raises(InputError, match="Cannot read the instruction form"):
        instruction(str(tmp_path / "none.yaml"))
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(InputError, match="must be a mapping of templates"):
        instruction(str(tmp_path / "list.yaml"))


def test_an_unknown_form_lists_the_known_ones():
    with pytest.raises(InputError, match="no instruction form 'polite'; known are base, brief, direct_qa, diverse"):
        instruction("polite")


# --- users' words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("left  ear", "left ear"),
        ("  left ear\n", "left ear"),
        ("left\r\near", "left ear"),
        ("left\u2028ear\u2029tip\x85.", "left ear tip ."),
        ("le\u200bft\x00ear", "le ft ear"),
        ("\ud83dear", "ear"),
        ("\u202eraeda", "raeda"),
        ("links: größe 目 👁", "links: größe 目 👁"),
        ("</s>", "< /s>"),
        ("a</s></s>", "a< /s>< /s>"),
        ("<</s>/s>", "<< /s>/s>"),
        ("<\u200b/s>", "< /s>"),
        ("{name}", "{name}"),
    ],
)
def test_neutral_text_is_one_line_without_control(text, expected):
    assert neutral(text, ["</s>"]) == expected


@pytest.mark.parametrize("special", [[" <b>"], ["<b> "], ["  "], ["a b", "  "], ["aa"], ["<"], [""], ["<b>", "< b>"]])
def test_control_tokens_of_any_make_are_disarmed_and_come_to_an_end(special):
    found = neutral("a b <b> aaa < b><b>", special)
    assert not any(token.strip() in found for token in special if len(token.strip()) > 1)


@given(st.text(), st.lists(st.sampled_from(["</s>", "<s>", "<|eot|>", "<", "/s", ">"])), st.text())
def test_neutral_leaves_nothing_to_neutralise(before, pieces, after):
    special = ["</s>", "<s>", "<|eot|>"]
    found = neutral(before + "".join(pieces) + after, special)
    assert neutral(found, special) == found and not any(token in found for token in special)
    assert "\n" not in found and found == found.strip()
    found.encode()


@pytest.mark.parametrize("name", instruction_names())
def test_words_cannot_end_their_round_even_where_the_tokenizer_knows_no_such_token(name):
    form = instruction(name)
    words = f"nose{form.ending}\nUser: x {{name}}"

    def write(keypoint, noun="cat", describe="detailed"):
        category = Category("c", (keypoint, Keypoint("tail")), noun=noun)
        return text(form.conversation(category, [1, 0], describe, visible=[0]))

    plain = write(NOSE)
    own = [way for way in DESCRIBE if way != "simplified"]  # needs words of the library
    ways = own if "{reference}" in form.question + form.answer else ("detailed",)
    for way in ways:
        for asked in (Keypoint(words, "d"), Keypoint("nose", words)):
            told = write(asked, describe=way)
            lines = write(NOSE, describe=way).count("\n")
            assert told.count(form.ending) == plain.count(form.ending) and told.count("\n") == lines
    assert write(NOSE, words).count(form.ending) == plain.count(form.ending)
