"""The kinds of model folders: the `model_type` that stands in config.json, and the function that loads such a folder.

A new family of models is one more entry. The functions are named by text, so that neither this file nor a base class
imports the families.
"""

from dataclasses import dataclass

_GENERATIVE = "anykeypoint.models.generative"


@dataclass(frozen=True)
class ModelType:
    """One kind of model folder.

    load: "module:function" that is called with the folder (a Path) and a torch dtype and gives the model, in eval mode.
    options: the keyword arguments that the model's `predict` takes beside image, category, box, example and words.
    abilities: what the model can do beside predicting from words: "example" (predict from examples), "explain" (say how
        it came to its points), "identify" (name a point out of a category's names), "own_words" (name one without a
        category), "called" (be told what the user calls it) and "reword" (read descriptions in other words).
    gives: the `model_type` of the model that `load` gives, where it is not that of the folder: models that research
        code published are read, but are saved as folders of this library.
    files: patterns of file names that a folder on the hub has beside config.json and model.safetensors.
    keeps_half: whether `load` takes keep_half=, for trainings that keep frozen weights in half precision.
    """

    load: str
    options: tuple[str, ...]
    abilities: tuple[str, ...] = ()
    gives: str | None = None
    files: tuple[str, ...] = ()
    keeps_half: bool = False


MODEL_TYPES: dict[str, ModelType] = {
    "matcher": ModelType(
        "anykeypoint.models.matching.model:load",
        ("density", "describe", "mirror", "fine", "presence"),
        ("example", "explain", "identify"),
        files=("text/*",),
    ),
    "capellm": ModelType(
        f"{_GENERATIVE}.capellm:load",
        ("strategy", "density", "describe", "cumulative", "order", "seed", "presence"),
        ("reword",),
        keeps_half=True,
    ),
    "kptllm": ModelType(
        f"{_GENERATIVE}.kptllm:load",
        ("strategy", "density", "describe", "seed", "presence"),
        ("example", "identify", "own_words", "called", "reword"),
        keeps_half=True,
    ),
    "cape-llm": ModelType(
        f"{_GENERATIVE}.released_capellm:load",
        ("strategy", "density", "describe", "cumulative", "order", "seed", "presence"),
        ("reword",),
        gives="capellm",
        files=(
            *("adapter_config.json", "adapter_model.safetensors", "vision_model.safetensors"),
            *("mm_projector.safetensors", "tokenizer*"),
        ),
        keeps_half=True,
    ),
    "image_text": ModelType(f"{_GENERATIVE}.image_text:load", (), ("identify", "own_words"), keeps_half=True),
    "llava": ModelType(
        f"{_GENERATIVE}.image_text:load_llava",
        (),
        ("identify", "own_words"),
        gives="image_text",
        files=(
            *("model-*.safetensors", "model.safetensors.index.json", "generation_config.json", "tokenizer*"),
            *("processor_config.json", "preprocessor_config.json", "chat_template*", "special_tokens_map.json"),
            "added_tokens.json",
        ),
        keeps_half=True,
    ),
    "adapted": ModelType("anykeypoint.models.matching.adapted.adapted_model:load", ("density",)),
    "few_shot": ModelType("anykeypoint.models.fewshot.fewshot_model:load", ("density", "presence"), ("example",)),
}
