"""One HTML page with its tables, curves and pictures inside; it has no scripts and loads nothing.

`text`, `paragraph`, `table` and `picture` take plain text and return HTML, so that text from the data is escaped in one
place; `section`, `picture_grid` and `page` join HTML. The same input gives the same bytes.
"""

import base64
import html
import math
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any

INKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9")  # the colour-blind can tell these apart
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))
UNKNOWN = "-"  # text of a value that does not exist
_CHART = {
    "svg.hashsalt": "anykeypoint",  # a fixed salt, as the ids in the SVG are random otherwise
    "svg.fonttype": "path",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e5ea",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 66rem; padding: 1rem; color: #16181d; background: #fff;
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid #d5d8df; padding-bottom: .2rem; }
p { max-width: 46rem; }
.scroll { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #e3e5ea; text-align: right; vertical-align: top; }
thead th { white-space: nowrap; }
th:first-child { text-align: left; min-width: 7rem; }
td.words { text-align: left; overflow-wrap: anywhere; }
tbody th { font-weight: 500; }
.strong th, .strong td { font-weight: 700; }
figure { margin: 0; }
figcaption { font-size: .85rem; line-height: 1.35; }
img { max-width: 100%; height: auto; display: block; }
.grid { display: grid; gap: 1rem .8rem; }
.photos { grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
"""


def text(value: Any) -> str:
    """The value as text in which HTML's special characters are escaped."""
    return html.escape(str(value))


def paragraph(words: str) -> str:
    return f"<p>{text(words)}</p>"


def number(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """The number as text; UNKNOWN for None and NaN.

    digits: number of digits after the point. sign: also write a plus sign.
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[Any]], strong: int | None = None, words: bool = False
) -> str:
    """A table whose first column names the rows.

    rows: cells of each row, the name first. strong: index of the row in bold type.
    words: whether the cells hold text, which is aligned to the left, instead of numbers.
    """
    lines = [f"<caption>{text(caption)}</caption>"]
    lines.append(
        "<thead><tr>" + "".join(f'<th scope="col">{text(name)}</th>' for name in header) + "</tr></thead><tbody>"
    )
    cell = '<td class="words">' if words else "<td>"
    for i, (name, *values) in enumerate(rows):
        mark = ' class="strong"' if i == strong else ""
        cells = "".join(f"{cell}{text(value)}</td>" for value in values)
        lines.append(f'<tr{mark}><th scope="row">{text(name)}</th>{cells}</tr>')
    # A wide table scrolls in a frame of its own; tabindex lets the keyboard reach it.
    frame = f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}">'
    return "\n".join([f"{frame}<table>", *lines, "</tbody></table></div>"])


def picture(data: bytes, kind: str, alt: str, caption: str) -> str:
    """A picture inside the page.

    data: content of the file. kind: jpeg, png or svg+xml. alt: description for readers who do not see the picture.
    """
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<figure><img src="{source}" alt="{text(alt)}"><figcaption>{text(caption)}</figcaption></figure>'


def picture_grid(pictures: Iterable[str], kind: str = "photos") -> str:
    """Pictures side by side, as many as fit the screen. kind: photos or, larger, charts."""
    return "\n".join([f'<div class="grid {kind}">', *pictures, "</div>"])


def chart(paint: Callable[[Any], None], size: tuple[float, float] = (6.4, 3.8)) -> bytes:
    """A chart as SVG; the user's own matplotlib settings have no effect.

    paint: draws on matplotlib's Axes. size: width and height in inches.
    """
    import matplotlib  # imported late, as only charts need it
    from matplotlib.figure import Figure  # pyplot would keep every figure in memory

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_CHART)
        drawing = Figure(figsize=size, layout="constrained")
        paint(drawing.subplots())
        buffer = BytesIO()
        drawing.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return buffer.getvalue()


def section(title: str, *parts: str) -> str:
    """A section with a heading. parts: HTML."""
    return "\n".join(["<section>", f"<h2>{text(title)}</h2>", *parts, "</section>"])


def page(title: str, *parts: str) -> bytes:
    """The whole page as the content of a file. parts: HTML."""
    # The policy forbids scripts and loading, which the page does not use, in case escaping ever fails.
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{text(title)}</h1>",
        *parts,
        "</main></body></html>",
        "",
    ]
    return "\n".join(lines).encode("utf-8", "backslashreplace")  # file names may hold lone surrogates
