"""Speed of the decoding engine beside one generation for each keypoint, in one run on one machine.

    python benchmarks/decode.py --keypoints 17 --json decode.json

Slow: for each keypoint the image goes through the encoder and the language model again and a plain `generate` writes
the forced answer, as the released CapeLLM evaluates. Fast: `encode` once, all keypoints as branches. Both greedy, in
float32, with the shipped default (or --model). "One more keypoint" is the slope between K and 2 K keypoints.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from transformers import LogitsProcessor, LogitsProcessorList

import anykeypoint as ak
from anykeypoint.decoding.codec import CoordinateCodec
from anykeypoint.geometry import square_crop
from anykeypoint.images import crop_pixels, read_image
from anykeypoint.models.generative.capellm import CapeLLM

PHOTO = Path(__file__).resolve().parents[1] / "examples" / "astronaut.jpg"


class Template(LogitsProcessor):
    """Allows at every step only the tokens that the template of an answer allows."""

    def __init__(self, codec: CoordinateCodec) -> None:
        self.codec, self.template = codec, codec.template()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        written = input_ids[0].tolist()
        place = len(written)
        allowed = self.template[place]
        slots = len(self.codec.digits)
        for back in range(1, slots + 1):  # a digit of a number that starts with "1" is 0
            lead = place - len(self.codec.point) - back
            if (
                lead >= 0
                and len(self.template[lead]) == 2
                and written[lead] == self.codec.leads[1]
                and len(allowed) > 1
            ):
                allowed = allowed[:1]
        masked = torch.full_like(scores, float("-inf"))
        masked[:, list(allowed)] = scores[:, list(allowed)]
        return masked


@torch.inference_mode()
def slow(model: CapeLLM, category: ak.Category) -> list[list[int]]:
    picture = read_image(PHOTO)
    crop = square_crop((0, 0, *picture.size), model.config.crop_scale)
    answers = []
    for question in model.questions(category):
        crops = torch.from_numpy(crop_pixels(picture, crop, model.config.vision.image_size))[None]
        prefix = model.prefix(model.encoder.normalise(crops))
        instruction = model.language.get_input_embeddings()(torch.tensor([question]))
        embeddings = torch.cat([prefix, instruction], dim=1)
        steps = len(model.codec.template())
        written = model.language.generate(
            inputs_embeds=embeddings,
            attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.long),
            max_new_tokens=steps,
            min_new_tokens=steps,
            do_sample=False,
            logits_processor=LogitsProcessorList([Template(model.codec)]),
        )
        answers.append([round(value * 1000) for value in model.codec.decode(written[0].tolist())])
    return answers


def fast(model: CapeLLM, category: ak.Category) -> list[list[int]]:
    view = model.encode(PHOTO)
    return view.engine.answer(view.prefix, model.questions(category)).values.tolist()


def body(count: int) -> ak.Category:
    """A category of `count` points: human body names, with numbers once they run out."""
    names = ak.category("human_body").names
    points = [
        ak.Keypoint(names[i % len(names)] + (f" {i // len(names) + 1}" if i >= len(names) else ""))
        for i in range(count)
    ]
    return ak.Category("human_body", tuple(points), noun="human body")


def seconds(run, *args) -> float:
    start = time.perf_counter()
    run(*args)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="capellm-small")
    parser.add_argument("--keypoints", type=int, default=17)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = ak.load(options.model, device="cpu")
    category, double = body(options.keypoints), body(2 * options.keypoints)
    same = fast(model, category) == slow(model, category)  # this comparison also warms both up
    rounds = [
        (seconds(slow, model, category), seconds(fast, model, category), seconds(fast, model, double))
        for _ in range(options.repeats)
    ]
    slow_s, fast_s, double_s = (statistics.median(column) for column in zip(*rounds, strict=True))
    figures = {
        "keypoints": options.keypoints,
        "speedup": statistics.median(s / f for s, f, _ in rounds),
        "same_digits": same,
        "slow_s": slow_s,
        "fast_s": fast_s,
        "one_more_keypoint_s": (double_s - fast_s) / options.keypoints,
        "threads": torch.get_num_threads(),
    }
    for name, value in figures.items():
        print(f"{name:20} {value:.4g}" if isinstance(value, float) else f"{name:20} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
