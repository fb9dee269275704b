"""The labels of a project in every form that labels are written in."""

from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..forms.dataset import Dataset
from ..forms.form import Written
from ..forms.registry import convert
from .project import Project
from .project_dataset import as_dataset, pictures_folder


def exported(project: Project, form: str, with_answers: bool = False) -> tuple[Written, Path]:
    """The labels of a project in a form of `forms.registry.writable_forms`, and the folder that its pictures are in.

    Where the form needs the pictures, objects of those that are gone are left out, which `lost` says.
    Raises InputError where there is nothing to write, where the pictures lie on several drives, and for what the form
    cannot hold.
    """
    pictures = {picture.id: picture for picture in project.pictures}
    root = pictures_folder(project.folder, pictures)
    if root is None:
        raise InputError(
            "The pictures lie on several drives, so that no folder holds them all, to which their names in labels are "
            "relative; move them to one drive, or take labels.json of the project, which has their whole paths."
        )
    labelled = dataset_of(project, with_answers)
    if not labelled.objects:
        other = "" if with_answers else ", or export the answers that nobody has looked at"
        raise InputError(f"There is no labelled object yet; finish a picture first{other}.")
    try:
        return convert(labelled, root, form), root
    except InputError:
        there = [item for item in labelled.objects if item.image.is_file()]
        if not 0 < len(there) < len(labelled.objects):
            raise
        written = convert(replace(labelled, objects=there), root, form)
        gone = f"{len(labelled.objects) - len(there)} objects whose pictures are not there any longer"
        return Written(written.content, [gone, *written.lost]), root


def dataset_of(project: Project, with_answers: bool = False) -> Dataset:
    """The labels of a project as objects.

    with_answers: also the model's answers, of points that nobody has touched in pictures that are not done.
    """
    pictures = {picture.id: picture for picture in project.pictures}
    answers = {number: found for number in pictures if (found := project.answer(number)) is not None}
    return as_dataset(project.folder, pictures, project.labels(), project.category, answers if with_answers else None)
