"""Detectors for any words, with tiny random networks made here."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    OwlViTConfig,
    OwlViTForObjectDetection,
    PreTrainedTokenizerFast,
    SwinConfig,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

import anykeypoint as ak
from anykeypoint.detection.boxes import Detection, overlaps
from anykeypoint.errors import InputError

WORDS = ["[PAD]", "[UNK]", "a", "photo", "of", "dog", "cat", "red", "chair", "x"]
SPECIAL = {
    101: "[CLS]",
    102: "[SEP]",
    1012: ".",
    1029: "?",
}  # where BERT's vocabulary has them, as GroundingDINO expects
SIZE = 64
MOST = {"score": 0.0, "overlap": 1.0, "most": 100}


def tokenizer():
    names = WORDS + [f"unused{i}" for i in range(len(WORDS), 1030)]
    for number, name in SPECIAL.items():
        names[number] = name
    tok = Tokenizer(models.WordPiece({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    tok.normalizer = normalizers.Lowercase()
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 101), ("[SEP]", 102)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


def grounding(folder, mm=False):
    backbone = SwinConfig(
        image_size=SIZE, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
        out_indices=[2, 3, 4],
    )  # fmt: skip
    text = BertConfig(
        vocab_size=1030, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64,
    )  # fmt: skip
    config = (MMGroundingDinoConfig if mm else GroundingDinoConfig)(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2, num_queries=12,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_text_len=24,
        num_feature_levels=4,
    )  # fmt: skip
    torch.manual_seed(0)
    model = (MMGroundingDinoForObjectDetection if mm else GroundingDinoForObjectDetection)(config)
    size = {"shortest_edge": SIZE, "longest_edge": 2 * SIZE}
    return save(folder, model, GroundingDinoImageProcessorPil(size=size))


def owl(folder, second=False):
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = (Owlv2Config if second else OwlViTConfig)(
        text_config={**vision, "vocab_size": 1030, "max_position_embeddings": 16, "initializer_range": 0.5},
        vision_config={**vision, "image_size": SIZE, "patch_size": 16, "initializer_range": 0.5},
        projection_dim=16,
    )
    torch.manual_seed(0)
    model = (Owlv2ForObjectDetection if second else OwlViTForObjectDetection)(config)
    size = {"height": SIZE, "width": SIZE}
    return save(folder, model, Owlv2ImageProcessorPil(size=size) if second else OwlViTImageProcessorPil(size=size))


def save(folder, model, processor):
    for part in (model, processor, tokenizer()):
        part.save_pretrained(folder)
    return str(folder)


MAKERS = {
    "grounding-dino": grounding,
    "mm-grounding-dino": lambda folder: grounding(folder, mm=True),
    "owlvit": owl,
    "owlv2": lambda folder: owl(folder, second=True),
}


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    return {kind: ak.detector(make(tmp_path_factory.mktemp(kind)), device="cpu") for kind, make in MAKERS.items()}


def picture(seed=0, size=(90, 50)):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", MAKERS)
def test_any_words_are_answered_with_boxes_in_the_picture(detectors, kind):
    found = detectors[kind].find(picture(), "red chair; dog", **MOST)
    assert (
        found
        and all(isinstance(one, Detection) for one in found)
        and {one.word for one in found} <= {"red chair", "dog"}
    )
    boxes = np.array([one.box for one in found])
    assert (boxes[:, :2] >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= (90 + 1e-9, 50 + 1e-9)).all()
    apart = detectors[kind].find(picture(), "red chair; dog", score=0.0, overlap=0.2)
    boxes = np.array([one.box for one in apart])
    assert all((np.delete(overlaps(box, boxes), i) <= 0.2).all() for i, box in enumerate(boxes))


@pytest.mark.parametrize("kind", MAKERS)
def test_words_and_pictures_do_not_change_each_others_answers(detectors, kind):
    find = detectors[kind].find
    both = find(picture(), ["dog", "red chair"], **MOST)
    assert both == find(picture(), ["red chair", "dog"], **MOST)
    find(picture(1, (30, 80)), "cat", **MOST)
    alone = find(picture(), "dog", **MOST) + find(picture(), "red chair", **MOST)
    assert sorted(alone, key=lambda one: (-one.score, one.box, one.word)) == both


@pytest.mark.parametrize("kind", ["grounding-dino", "mm-grounding-dino"])
def test_grounding_dino_gives_the_boxes_of_its_own_post_processing(detectors, kind):
    from transformers import GroundingDinoProcessor

    ours = detectors[kind]
    processor = GroundingDinoProcessor(ours.processor, ours.tokenizer)
    inputs = processor(images=picture(), text=[["red chair"]], return_tensors="pt")
    with torch.inference_mode():
        answer = ours.network(**inputs)
    (theirs,) = processor.post_process_grounded_object_detection(answer, inputs.input_ids, 0.0, 0.0, [(50, 90)])
    compare(ours.find(picture(), "red chair", **MOST), theirs)


def test_owl_vit_gives_the_boxes_of_its_own_post_processing(detectors):
    from transformers import OwlViTProcessor

    ours = detectors["owlvit"]
    processor = OwlViTProcessor(ours.processor, ours.tokenizer)
    inputs = processor(images=picture(), text=[["a photo of a red chair"]], return_tensors="pt", max_length=16)
    with torch.inference_mode():
        answer = ours.network(**inputs)
    (theirs,) = processor.post_process_grounded_object_detection(answer, 0.0, [(50, 90)])
    compare(ours.find(picture(), "red chair", **MOST), theirs)


def compare(ours, theirs):
    corners = theirs["boxes"].double().numpy().clip(0, [90, 50, 90, 50])
    whole = (corners[:, 2:] - corners[:, :2] > 0.01).all(axis=1)  # in float32 a sliver may be there or not
    rows = np.column_stack([theirs["scores"].numpy(), corners])[whole]
    mine = np.array(
        [[one.score, *one.box[:2], *np.add(one.box[:2], one.box[2:])] for one in ours if min(one.box[2:]) > 0.01]
    )
    assert len(mine) == len(rows) > 5
    for row in mine:
        assert np.abs(rows - row).max(axis=1).min() < 1e-3


def test_owlv2_sees_the_picture_at_the_top_left_of_a_grey_square(detectors):
    ours = detectors["owlv2"]
    pixels, sides = ours._pixels(Image.fromarray(picture()))
    assert pixels.shape == (1, 3, SIZE, SIZE) and sides == (90, 90)
    grey = (0.5 - torch.tensor(ours.processor.image_mean)) / torch.tensor(ours.processor.image_std)
    assert torch.allclose(pixels[0, :, 40:], grey[:, None, None].expand(3, SIZE - 40, SIZE), atol=1e-6)
    assert (pixels[0, :, :30] - grey[:, None, None]).abs().mean() > 0.1


@pytest.mark.parametrize(
    "kind, words", [("grounding-dino", "dog. cat"), *((k, "x " * 30) for k in MAKERS), ("owlv2", "")]
)
def test_words_that_the_network_cannot_read_are_refused(detectors, kind, words):
    with pytest.raises(InputError) as caught:
        detectors[kind].find(picture(), words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", MAKERS)
def test_weights_that_are_not_whole_are_refused(tmp_path, kind):
    from safetensors.torch import load_file, save_file

    folder = MAKERS[kind](tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    name = next(name for name in kept if "class" not in name and name.endswith("weight"))
    save_file(
        {key: value for key, value in kept.items() if key != name}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InputError, match="lack"):
        ak.detector(folder, device="cpu")


def test_pickled_weights_and_code_of_its_own_are_never_loaded(tmp_path):
    folder = owl(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        ak.detector(folder)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(InputError, match="type mine"):
        ak.detector(folder)
