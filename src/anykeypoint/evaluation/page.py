"""One HTML page that needs nothing but itself: tables, curves and pictures inside, no scripts, nothing fetched.

`text`, `paragraph`, `table` and `picture` take plain words and give markup, so that whatever stands in the data is
escaped in one place; `section`, `figures` and `page` put markup together. The same words give the same bytes.
"""

import base64
import html
import math
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any

INKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9")  # told apart by the colour-blind too
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))
UNKNOWN = "-"
_CHART = {
    "svg.hashsalt": "anykeypoint",  # else its ids are drawn at random
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
    return html.escape(str(value))


def paragraph(words: str) -> str:
    return f"<p>{text(words)}</p>"


def number(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """The number with so many digits behind the point; UNKNOWN for None and NaN."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[Any]], strong: int | None = None, words: bool = False
) -> str:
    """A table whose first column names the rows. strong: a row to stand out; words: the cells are text, not figures."""
    lines = [f"<caption>{text(caption)}</caption>"]
    lines.append(
        "<thead><tr>" + "".join(f'<th scope="col">{text(name)}</th>' for name in header) + "</tr></thead><tbody>"
    )
    cell = '<td class="words">' if words else "<td>"
    for i, (name, *values) in enumerate(rows):
        mark = ' class="strong"' if i == strong else ""
        cells = "".join(f"{cell}{text(value)}</td>" for value in values)
        lines.append(f'<tr{mark}><th scope="row">{text(name)}</th>{cells}</tr>')
    # A wide table scrolls in its own frame, which the keyboard must reach too.
    frame = f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}">'
    return "\n".join([f"{frame}<table>", *lines, "</tbody></table></div>"])


def picture(data: bytes, kind: str, alt: str, caption: str) -> str:
    """A picture inside the page. kind: jpeg, png or svg+xml; alt: what it shows, for those who do not see it."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<figure><img src="{source}" alt="{text(alt)}"><figcaption>{text(caption)}</figcaption></figure>'


def figures(pictures: Iterable[str], kind: str = "photos") -> str:
    """Pictures side by side, as many as the screen has room for. kind: photos or, larger, charts."""
    return "\n".join([f'<div class="grid {kind}">', *pictures, "</div>"])


def chart(paint: Callable[[Any], None], size: tuple[float, float] = (6.4, 3.8)) -> bytes:
    """SVG of what `paint` draws on matplotlib's Axes. size: inches. The user's own matplotlib settings have no part."""
    import matplotlib  # late: nothing else needs it
    from matplotlib.figure import Figure  # not pyplot, which keeps its figures

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_CHART)
        drawing = Figure(figsize=size, layout="constrained")
        paint(drawing.subplots())
        buffer = BytesIO()
        drawing.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return buffer.getvalue()


def section(title: str, *parts: str) -> str:
    return "\n".join(["<section>", f"<h2>{text(title)}</h2>", *parts, "</section>"])


def page(title: str, *parts: str) -> bytes:
    """The whole page from its parts, as a file's bytes."""
    # The policy forbids what the page does without anyway, should escaping ever fail.
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
    return "\n".join(lines).encode("utf-8", "backslashreplace")  # file names keep what they have of lone surrogates
