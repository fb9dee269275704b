"""Draw docs/demo.jpg: what `accurate@held-out` answers on the sample photos, right answers above, wrong ones below.

    python tools/demo_picture.py [docs/demo.jpg]

Nothing is chosen per point: each panel is one call of `predict`, drawn as `Pose.draw` draws it.
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

import anykeypoint as ak
from anykeypoint.example import marked_category, read_marked, to_example

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
OUT = Path(__file__).resolve().parents[1] / "docs" / "demo.jpg"
WIDTH, HEIGHT, TITLE, GAP = 560, 500, 44, 12  # pixels: a picture at most, the line above it, between panels
PAPER, INK = (250, 250, 252), (24, 24, 30)
CORNERS = "top left corner; top right corner; bottom right corner; bottom left corner"
HORSE_BOX = (32.0, 28.2, 255.8, 174.2)


def panels() -> list[list[tuple[str, Image.Image]]]:
    """Rows of (title, picture)."""
    model = ak.load("accurate@held-out")  # the shipped weights learnt from some of these photos
    sheet = ak.Category.from_text(CORNERS, noun="sheet of paper")
    marked_sheet = read_marked(f"{EXAMPLES / 'paper_1.jpg'}:{EXAMPLES / 'paper_1.json'}")
    corners = marked_category([marked_sheet], noun="sheet of paper")
    marked_horse = read_marked(f"{EXAMPLES / 'horse_1.jpg'}:{EXAMPLES / 'horse_1.json'}")
    horse = marked_category([marked_horse])
    first_sheet, first_horse = to_example(marked_sheet, corners), to_example(marked_horse, horse)

    view = model.encode(EXAMPLES / "paper_2.jpg")
    above = [
        ("a sheet, by four names", view.predict(sheet)),
        ("by one marked sheet", view.predict(corners, example=first_sheet, words=False)),
        ("by both", view.predict(corners, example=first_sheet)),
    ]
    view = model.encode(EXAMPLES / "horse_2.jpg", box=HORSE_BOX)
    astronaut = model.predict(EXAMPLES / "astronaut.jpg", ak.category("human_body"), box=(20, 0, 440, 512))
    below = [
        ("a horse, by one marked horse", view.predict(horse, example=first_horse, words=False)),
        ("FAILS: the same points by name alone", view.predict(horse)),
        ("FAILS: a person by 17 names", astronaut),
    ]
    return [[(title, pose.draw()) for title, pose in row] for row in (above, below)]


def sheet_of(rows: list[list[tuple[str, Image.Image]]]) -> Image.Image:
    font = ImageFont.load_default(size=26)
    heights = [min(HEIGHT, max(round(WIDTH * picture.height / picture.width) for _, picture in row)) for row in rows]
    columns = max(len(row) for row in rows)
    size = (columns * (WIDTH + GAP) + GAP, sum(height + TITLE + GAP for height in heights) + GAP)
    whole = Image.new("RGB", size, PAPER)
    pen, top = ImageDraw.Draw(whole), GAP
    for row, height in zip(rows, heights, strict=True):
        for column, (title, picture) in enumerate(row):
            left = GAP + column * (WIDTH + GAP)
            pen.text((left + 2, top + TITLE / 2), title, font=font, fill=INK, anchor="lm")
            fitted = ImageOps.contain(picture, (WIDTH, height), Image.Resampling.LANCZOS)
            whole.paste(fitted, (left + (WIDTH - fitted.width) // 2, top + TITLE))
        top += height + TITLE + GAP
    return whole


if __name__ == "__main__":
    sheet_of(panels()).save(sys.argv[1] if len(sys.argv) > 1 else OUT, quality=88)
