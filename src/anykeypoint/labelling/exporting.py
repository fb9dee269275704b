"""The labels of a project in every form that labels are written in."""

from pathlib import Path

from ..errors import InputError
from ..forms.dataset import Dataset
from ..forms.form import Written
from ..forms.registry import convert
from .project import Project
from .project_dataset import as_dataset, pictures_folder


def exported(project: Project, form: str, with_answers: bool = False) -> tuple[Written, Path]:
    """The labels of a project in a form of `forms.registry.writable_forms`, and the folder that its pictures are in.

    Raises InputError where there is nothing to write, and for what the form cannot hold.
    """
    pictures = {picture.id: picture for picture in project.pictures}
    root = pictures_folder(project.folder, pictures)
    labelled = dataset_of(project, with_answers)
    if not labelled.objects:
        other = "" if with_answers else ", or export the answers that nobody has looked at"
        raise InputError(f"There is no labelled object yet; finish a picture first{other}.")
    return convert(labelled, root, form), root


def dataset_of(project: Project, with_answers: bool = False) -> Dataset:
    """The labels of a project as objects.

    with_answers: also the model's answers, of points that nobody has touched in pictures that are not done.
    """
    pictures = {picture.id: picture for picture in project.pictures}
    answers = {number: found for number in pictures if (found := project.answer(number)) is not None}
    return as_dataset(project.folder, pictures, project.labels(), project.category, answers if with_answers else None)
