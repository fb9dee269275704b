"""What decides the predictions and the results of an evaluation."""

from dataclasses import dataclass
from typing import ClassVar

from ..configs.strict import Config
from ..forms.phrases import LIBRARY


@dataclass(frozen=True)
class EvaluationConfig(Config):
    """The settings of an evaluation, as settings.json and results.json hold them.

    model: name or path of the model.
    data: sha256 of the data, where they come from files.
    protocol: name of the protocol, see `protocols.EvaluationProtocol`.
    episodes: number of episodes of each category, as the released sampler draws them; None makes every object a query
        once.
    official: score as MP-100's released code does.
    oks: name of the data set, or path of the .json file, whose sigmas COCO's statistics are computed with; None leaves
        them out.
    strategy: decoding strategy; None is the model's own.
    descriptions: how the descriptions are given, one of `instructions.DESCRIBE`.
    names: the keypoints' names: "own", as the data have them, "simplified" (CapeLLM, Table 6), "synonyms", "german",
        "french", "spanish", "typos" (one in each name, drawn by the seed), or a YAML or JSON file of names; see
        `library.rewordings`. A matcher's phrases are put in the same words.
    box_shift: how far the box that the model gets is moved off the labelled one, as a share of its longer side, in a
        direction that is drawn for each object; see `changed_boxes`.
    box_scale: factor on the sides of the box that the model gets.
    cumulative: all keypoints in one conversation, in which each question follows the earlier answers.
    phrases: whose words a matcher reads for the points: "library", "file" or a file of phrases.
    answer: how DLF makes one answer of its two matchers', see `heads.dlf.ANSWERS`; None is the model's own.
    image_size: side in pixels of the picture that the model gets; None is the model's own.
    sides: also ask about every picture mirrored, and report how often the answers agree, see `left_right`.
    mirror: a matcher answers with the mean of the picture and its mirror image.
    fine: whether a matcher looks at each point that an example shows once more; None is as the model's config says.
    dtype: precision that the model is loaded in, see `anykeypoint.load`.
    foreign: of how many objects of each category at most the points of another kind of object are asked too, to see
        how often these are called present, see `other_kinds`; 0 asks none, and a model without presence is not asked.
    points: which labelled points count: "labelled", all of them; "visible" (v = 2) or "hidden" (v = 1).
    attention: also report how much of the attention of a matcher's decoder lies near the labels, see `attention`; the
        model is asked again for it.
    single: measure only objects that are alone in their picture, see `selection.alone_in_picture`.
    max_per_category: number of objects of each category at most.
    seed: decides which objects, examples and bootstrap samples are drawn, and the draws of sampling strategies.
    """

    called: ClassVar[str] = "The settings of an evaluation"
    # Options that version 0.1.0 did not have.
    later: ClassVar[frozenset[str]] = frozenset(
        {"names", "phrases", "answer", "single", "sides", "mirror", "fine", "dtype", "foreign"}
        | {"points", "box_shift", "box_scale", "attention"}
    )

    model: str = ""
    data: str = ""
    protocol: str = "text"
    episodes: int | None = None
    official: bool = False
    oks: str | None = None
    strategy: str | None = None
    descriptions: str = "detailed"
    names: str = "own"
    box_shift: float = 0.0
    box_scale: float = 1.0
    cumulative: bool = False
    phrases: str = LIBRARY
    answer: str | None = None
    image_size: int | None = None
    points: str = "labelled"
    attention: bool = False
    single: bool = False
    sides: bool = False
    mirror: bool = False
    fine: bool | None = None
    dtype: str = "float32"
    foreign: int = 5
    max_per_category: int | None = None
    seed: int = 0
