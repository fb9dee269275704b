"""`anykeypoint data list`: the data sets that are known by name, and the forms of labels."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ...data.registry import KnownDataset


def run(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A data set, of which all that is known is printed.")
    ] = None,
) -> None:
    """List the data sets that are known by name, and the forms of labels that can be read and written."""
    from ...data.registry import known_dataset, known_datasets
    from ...forms.registry import FORMS, form_of

    if name is not None:
        print(_described(known_dataset(name)))
        return
    wide = max(map(len, known_datasets()))
    for entry in known_datasets().values():
        print(f"{entry.name:<{wide}}  {entry.what}")
        facts = {
            "categories": entry.categories,
            "points": entry.keypoints,
            "licence": entry.licence,
            "size": entry.size,
            "where": entry.where,
            "used by": ", ".join(entry.papers),
        }
        print(f"{'':<{wide}}  " + "; ".join(f"{key}: {value}" for key, value in facts.items()))
    print("\nforms that --data takes, as FORM:FILE; `data list NAME` tells more of a data set")
    wide = max(map(len, FORMS))
    for form in FORMS:
        entry = form_of(form)
        word = f"; {form}/WORD:FILE with {entry.word}" if entry.word else ""
        print(f"{form:<{wide}}  {entry.what}{', also written' if entry.write is not None else ''}{word}")


def _described(entry: "KnownDataset") -> str:
    """All that is known of a data set, a line for each fact."""
    from ...data.registry import UNKNOWN_FORM, published_figures

    lines = [f"{entry.name}: {entry.what}"]
    for key in ("categories", "keypoints", "size", "licence", "where"):
        lines.append(f"  {key:<10}  {getattr(entry, key)}")
    reader = entry.reader if entry.reader == UNKNOWN_FORM else f"--data {entry.reader}:FILE"
    lines.append(f"  {'read with':<10}  {reader}")
    lines.append(f"  {'used by':<10}  {', '.join(entry.papers) or 'none of the papers'}")
    lines += [f"  known fault: {fault}" for fault in entry.faults]
    for row in published_figures():
        if row.data == entry.name:
            figures = ", ".join(f"{part} {figure:.2f}" for part, figure in row.figures.items())
            how = ", ".join(text for text in (row.method, row.protocol, row.metric, row.mean.replace("_", " ")) if text)
            lines.append(f"  published: {how}: {figures} ({row.source})")
    return "\n".join(lines)
