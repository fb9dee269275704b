"""Any image-text model of transformers, asked for the name of a place that is marked in the picture.

This is how KptLLM's Table 1 measures LLaVA: the keypoint is highlighted in the picture of the object, which is given to
the model with the instruction (Sec. 4.2). "LLaVA*" is the same with LoRA, fine-tuned on the training categories.

Letters: B pictures, S side of a crop in pixels, T tokens of an answer, P points to name.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ...drawing.marking import ring
from ...errors import InputError
from ...geometry import Box
from ...images import ImageSource
from ...instructions import neutral
from ...io import made_folder
from ...library.lookup import as_category
from ...pose import Identified
from ..arguments import CategoryLike, check_points
from ..folders import fill, read_settings, write_folder
from ..found_names import likeliest
from ..precision import keep_frozen_halves, load_unrounded
from ..sources.hub import load_model, load_processor, stored_half
from ..tuning import lora_state, tune
from ..view import cut_object
from .image_text_config import ImageTextConfig

NAME_TOKENS = 32  # largest number of tokens of a name that the model writes, its ending included
AT_ONCE = 16  # largest number of pictures in one forward pass


class ImageTextNamer(nn.Module):
    """The model, with its ring and question.

    config: what makes it one.
    model: an image-text model of transformers.
    processor: its processor, with a chat template.
    """

    model_type = "image_text"
    prompts = ("identify",)

    def __init__(self, config: ImageTextConfig, model: nn.Module, processor: Any) -> None:
        super().__init__()
        self.config, self.model, self.processor = config, model, processor
        model.requires_grad_(False)
        tune(model.get_decoder(), config.tuning, config.lora)
        self.prompt = self._chat()

    @classmethod
    def build(
        cls, config: ImageTextConfig, seed: int = 0, dtype: torch.dtype = torch.float32, *, keep_half: bool = False
    ) -> Self:
        """A new model in eval mode; InputError where it cannot be had, or has no chat template.

        seed: of the adapters.
        dtype: precision of the weights.
        keep_half: in float32, keep the weights of frozen linear layers as they are stored where that is half precision;
            see `keep_frozen_halves`.
        """
        from transformers import AutoModelForImageTextToText

        processor = load_processor(config.source)
        load = partial(load_model, AutoModelForImageTextToText, config.source, trust_remote_code=False)
        keep_half = keep_half and dtype == torch.float32
        network = load_unrounded(load, stored_half(config.source)) if keep_half else load(dtype)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = cls(config, network, processor).eval()
        if keep_half:
            keep_frozen_halves(network)
        return model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors, which holds the adapters alone; see `load`."""
        folder = made_folder(folder, "A model's folder")
        write_folder(folder, self.model_type, self.config.to_dict(), lora_state(self.model), None)

    def untrained(self) -> "ImageTextNamer":
        """The same model before training."""
        table = self._table
        return type(self).build(self.config, dtype=table.dtype).to(table.device)

    def resize(self, image_size: int) -> None:
        """From now on mark crops of `image_size` pixels a side."""
        self.config = replace(self.config, image_size=image_size)

    # --- naming points ------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def identify(
        self,
        image: ImageSource,
        points: np.ndarray,
        *,
        box: Box | None = None,
        category: CategoryLike | None = None,
        called: None = None,
    ) -> Identified | list[Identified]:
        """Name the keypoints at P points of one picture, each marked and asked about on its own.

        image: what `images.read_picture` takes.
        points: (P, 2) in image pixels; a single (x, y) gives a single result.
        box: x, y, w, h in image pixels; None takes the whole picture.
        category: None lets the model write a name of its own, of at most NAME_TOKENS tokens. With a category, the most
            probable of its names is given, with the probability of each name.
        called: None, as its question has no place for the name that the user calls a point by.

        Raises InputError for points that are not finite (x, y), and for `called`.
        """
        if called is not None:
            raise InputError("An image-text model cannot be told what a point is called; leave called out.")
        places, single = check_points(points)
        category = None if category is None else as_category(category)
        cut = cut_object(image, box, self.config.crop_scale, self.config.image_size)
        pictures = [self.marked(cut.pixels, point) for point in cut.crop.normalise(places)]
        if category is None:
            answers = [
                answer
                for at in range(0, len(pictures), AT_ONCE)
                for answer in self._written(pictures[at : at + AT_ONCE])
            ]
        else:
            answers = [self._chosen(picture, list(dict.fromkeys(category.names))) for picture in pictures]
        return answers[0] if single else answers

    def marked(self, pixels: np.ndarray, point: np.ndarray) -> np.ndarray:
        """A crop S S 3 uint8 with the ring round a point, given in fractions of the crop."""
        side, config = len(pixels), self.config
        x, y = (np.asarray(point) * side).tolist()
        return ring(pixels, (x, y), config.radius * side, config.width * side, config.colour)

    def _written(self, pictures: Sequence[np.ndarray]) -> list[Identified]:
        """The names that the model writes for marked crops."""
        inputs = self._inputs(pictures)
        output = self.model.generate(
            **inputs, max_new_tokens=NAME_TOKENS, do_sample=False, return_dict_in_generate=True, output_logits=True
        )
        written = output.sequences[:, inputs["input_ids"].shape[1] :]
        log_probs = torch.stack(output.logits, dim=1).float().log_softmax(-1)
        token_log_probs = log_probs.gather(2, written[..., None])[..., 0]
        answers = []
        for ids, row in zip(written.tolist(), token_log_probs.double(), strict=True):
            count = next((i + 1 for i, token in enumerate(ids) if token in self._endings), len(ids))
            name = self.processor.tokenizer.decode(ids[:count], skip_special_tokens=True)
            answers.append(Identified(neutral(name), float(row[:count].sum().exp())))
        return answers

    def _chosen(self, picture: np.ndarray, names: list[str]) -> Identified:
        """The most probable of some names for a marked crop."""
        totals = []
        for at in range(0, len(names), AT_ONCE):
            part = names[at : at + AT_ONCE]
            log_probs, answered = self([picture] * len(part), part)
            totals.append((log_probs * answered).sum(1))
        return likeliest(torch.cat(totals).cpu().double().numpy(), names)

    # --- tensors ------------------------------------------------------------------------------------------------------

    def forward(self, pictures: Sequence[np.ndarray], names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Log probabilities B T of the tokens of an answer to each marked crop, its ending included; which are real.

        pictures: B marked crops S S 3 uint8.
        names: the answer to each.
        """
        inputs = self._inputs(pictures)
        answers = [torch.tensor(self.answer_tokens(name)) for name in names]
        device, start = inputs["input_ids"].device, inputs["input_ids"].shape[1]
        tokens = nn.utils.rnn.pad_sequence(answers, batch_first=True).to(device)
        lengths = torch.tensor([len(answer) for answer in answers], device=device)
        answered = torch.arange(tokens.shape[1], device=device) < lengths[:, None]
        more = {"input_ids": tokens, "attention_mask": answered}
        whole = dict(inputs)
        for key, value in inputs.items():
            if value.shape == inputs["input_ids"].shape:  # tables with an entry for each token
                end = more.get(key, torch.zeros_like(tokens))
                whole[key] = torch.cat([value, end.to(value.dtype)], dim=1)
        logits = self.model(**whole, use_cache=False).logits[:, start - 1 : -1]
        return logits.float().log_softmax(-1).gather(2, tokens[..., None])[..., 0], answered

    def answer_tokens(self, name: str) -> list[int]:
        """The tokens of an answer behind the question, with an ending."""
        whole = self._chat(neutral(name)).rstrip()
        if not whole.startswith(self.prompt):
            raise InputError(
                f"The chat template of {self.config.source} does not go on with an answer; choose another."
            )
        before, ids = (self.processor.tokenizer(text)["input_ids"] for text in (self.prompt, whole))
        ids = ids[len(before) :]
        return ids if ids and ids[-1] in self._endings else [*ids, self.processor.tokenizer.eos_token_id]

    @property
    def _table(self) -> Tensor:
        """The language model's embeddings, which tell device and precision: no training rounds them."""
        return self.model.get_input_embeddings().weight

    @property
    def _endings(self) -> set[int]:
        """The tokens that end an answer."""
        found = self.model.generation_config.eos_token_id
        found = found if isinstance(found, list) else [found]
        return {self.processor.tokenizer.eos_token_id, *(token for token in found if token is not None)}

    def _chat(self, answer: str | None = None) -> str:
        """The question as the model's chat template writes it, with an answer where there is one."""
        asked = [{"type": "image"}, {"type": "text", "text": self.config.question}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": asked}]
        if answer is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        try:
            return self.processor.apply_chat_template(messages, add_generation_prompt=answer is None, tokenize=False)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{self.config.source} has no chat template that takes a picture and a question; choose a model that "
                "was tuned for chat."
            ) from error

    def _inputs(self, pictures: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """The question behind each marked crop as the model takes it: tables of equally many tokens, and pixels."""
        table = self._table
        images = [[Image.fromarray(picture)] for picture in pictures]
        found = self.processor(images=images, text=[self.prompt] * len(images), return_tensors="pt")
        return {
            key: value.to(table.device, table.dtype if value.is_floating_point() else None)
            for key, value in found.items()
        }


def load(folder: str | Path, dtype: torch.dtype = torch.float32, keep_half: bool = False) -> ImageTextNamer:
    """The model of a folder of this library, in eval mode. A frozen one needs config.json alone:
    {"model_type": "image_text", "source": "llava-hf/llava-1.5-7b-hf"}.

    dtype, keep_half: precision of the weights, see `ImageTextNamer.build`.
    """
    folder = Path(folder)
    config = ImageTextConfig.from_dict(read_settings(folder, ImageTextNamer.model_type))
    model = ImageTextNamer.build(config, 0, dtype, keep_half=keep_half)
    if adapters := lora_state(model.model):
        fill(folder, adapters)
    return model.eval()


def load_llava(folder: str | Path, dtype: torch.dtype = torch.float32, keep_half: bool = False) -> ImageTextNamer:
    """A LLaVA of transformers as it was published, with our ring and question (Table 1, "LLaVA").

    dtype, keep_half: precision of the weights, see `ImageTextNamer.build`.
    """
    return ImageTextNamer.build(ImageTextConfig(str(folder)), 0, dtype, keep_half=keep_half)
