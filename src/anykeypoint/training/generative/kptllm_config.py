"""Options of a training run of KptLLM."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import ClassVar

from ...configs.checks import check_positive, check_whole
from ...configs.strict import Config
from ...crops.augment import LOCLLM, AugmentConfig
from ...errors import InputError
from ..run_config import check_choices, check_from_zero, check_options, check_shares
from .generative_config import GenerativeTrainConfig

LEARN_NAMES = ("unknown", "all")


@dataclass(frozen=True)
class TaskWeights(Config):
    """Weights by which the task of a conversation is drawn, in any unit; a task that a recipe leaves out has 0.

    It is drawn among the tasks that are possible for the keypoint: `example`, `both` and `misnamed_example` need
    another object of the category that has the keypoint visible too, and the misnamed ones a keypoint of another name.

    identify: from a place in the picture to the keypoint's name.
    example: from a place in another picture to the keypoint's name and its place here.
    text: from the keypoint's name and description to its place.
    both: from name, description and a place in another picture to its place here.
    misnamed: from a place in the picture, called by a name that may be wrong, to the keypoint's name. Not the paper's.
    misnamed_example: from a place in another picture, called by such a name, to the keypoint's name and its place here.
    """

    called: ClassVar[str] = "The weights of the tasks"

    identify: float = 0.0
    example: float = 0.0
    text: float = 0.0
    both: float = 0.0
    misnamed: float = 0.0
    misnamed_example: float = 0.0

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            check_positive(weight, f"The weight of the task {name}", zero=True)
        if not any(vars(self).values()):
            raise InputError(f"No task has a weight; give one to some of {', '.join(vars(self))}.")

    def probabilities(self, possible: Collection[str]) -> dict[str, float]:
        """The probability of each task that is possible and has a weight; empty where there is none."""
        weights = {task: weight for task, weight in asdict(self).items() if task in possible and weight}
        total = sum(weights.values())
        return {task: weight / total for task, weight in weights.items()}


@dataclass(frozen=True)
class KptLLMTrainConfig(GenerativeTrainConfig):
    """A training run of KptLLM. The defaults are the paper's recipe (Sec. 4.1.3) with 8 processes: 128 samples a step.

    The paper gives AdamW, the learning rate, no weight decay and the batch. Epochs, schedule and warm-up are those of
    LLaVA-1.5's fine-tuning with LoRA, with which all its other values agree; the crops are LocLLM's. A sample is one
    picture with one conversation about one keypoint (the item "group"); an epoch has all labelled keypoints.

    batch: number of samples in one forward pass of one process; the pictures of examples are not counted.
    tasks: weights of the tasks. In a recipe that gives some, the others are 0.
    asks: number of conversations about each keypoint of an object, each with a task of its own.
    words: weight of the loss of names beside the loss of points, with the loss "digits" and with <KEYPOINT> answers.
    point: weight of the points' L1 loss beside the names' loss, with <KEYPOINT> answers (Eq. 7).
    learn_names: of which answers the name in front of the point is learnt: "unknown", those whose question does not
        give it, or "all" (Sec. 3.5: the loss of text is that of the example). It matters to models that identify first.
    wrong: share of the misnamed conversations whose name is wrong; the others give the right one, so that a name is not
        contradicted because it is given. See `wrong_names` for the draw.
    prompt_lr: learning rate of the modules that make prompt tokens, which start at random; 0 takes `lr`.
    """

    tasks: TaskWeights = TaskWeights(identify=1, example=1, text=1)
    asks: int = 1
    words: float = 1.0
    point: float = 2.0
    learn_names: str = "unknown"
    wrong: float = 0.5
    prompt_lr: float = 0.0
    describe: float = 0.5
    batch: int = 16
    lr: float = 2e-4
    augment: AugmentConfig = LOCLLM

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, check_whole, "asks")
        check_choices(self, learn_names=LEARN_NAMES)
        check_from_zero(self, "words", "point", "prompt_lr")
        check_shares(self, "wrong")
        if self.guide.alone:
            raise InputError("guide.alone is CapeLLM's; start from a CapeLLM that was trained so, and leave it out.")
