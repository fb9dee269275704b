"""The slow plain way of KptLLM: its embeddings put together anew, and one `generate` for every name."""

import numpy as np
import torch
from tiny import picture

from anykeypoint.category import Category, Keypoint
from anykeypoint.example import Example

CATEGORY = Category(
    "cat",
    (
        Keypoint("left ear tip", "The highest point of the left ear."),
        Keypoint("right ear tip"),
        Keypoint("nose", "Its black end."),
        Keypoint("nose"),
    ),
    skeleton=((0, 2), (1, 2)),
    noun="cat",
)
NAMES = Category(
    "cat",
    (Keypoint("left ear"), Keypoint("right ear"), Keypoint("nose tip"), Keypoint("nose tip", "Second.")),
)
POINTS = np.array([[5.0, 6.0], [30.0, 8.0], [20.5, 30.25], [11.0, 40.0]])
LIMIT = 6  # tokens of a name
PLACES = np.array([[3.0, 4.0], [30.5, 20.0], [59.0, 39.0]])
IDENTIFY = "\nUSER: What is the name of the keypoint shown above?\nASSISTANT:"
EXAMPLE = "\nUSER: Find the keypoint shown above on the object in the image.\nASSISTANT:"


def example(seed=5, points=POINTS, size=50, **more) -> Example:
    return Example(picture(size, size, seed), points, **more)


def only(*rows) -> np.ndarray:
    """The points of these rows alone."""
    return np.where(np.isin(np.arange(len(POINTS)), rows)[:, None], POINTS, np.nan)


def features(model, pixels):
    return model.encoder(model.encoder.normalise(torch.from_numpy(pixels)[None]))


def token(model, pixels, point):
    """z_p (1 1 D) of one point, in pixels of a crop that is the whole picture."""
    places = torch.from_numpy(np.array(point, dtype=np.float32))[None, None] / len(pixels)
    with torch.no_grad():
        return model.prompt_tokens(features(model, pixels), places)


def start(model, pixels):
    """[BOS ; z_q], put together anew."""
    with torch.no_grad():
        bos = model.language.get_input_embeddings()(torch.tensor([[model.tokenizer.bos_token_id]]))
        return torch.cat([bos, model.projection(features(model, pixels))], dim=1)


def ids(model, text):
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def written(model, before, question, ending, limit):
    """What plain `generate` writes behind embeddings and a question, up to the ending, and its probability."""
    embeddings = torch.cat([before, model.language.get_input_embeddings()(torch.tensor([question]))], dim=1)
    mask = torch.ones(embeddings.shape[:2], dtype=torch.long)
    options = {"do_sample": False, "max_new_tokens": limit, "return_dict_in_generate": True, "output_logits": True}
    found = model.language.generate(inputs_embeds=embeddings, attention_mask=mask, pad_token_id=0, **options)
    tokens, probability = [], 1.0
    for token_id, logits in zip(found.sequences[0].tolist(), found.logits, strict=True):
        tokens.append(token_id)
        probability *= float(logits[0].softmax(-1)[token_id])
        if tokens[-len(ending) :] == ending:
            return tokens[: -len(ending)], probability
        if token_id == model.tokenizer.eos_token_id:
            return tokens[:-1], probability
    return tokens, probability
