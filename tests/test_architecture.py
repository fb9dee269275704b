"""The arrows of the code: no circles, no arrow upwards, no arrow between families.

Every import counts: at the top of a file, inside a function and under TYPE_CHECKING. The floors are those of
docs/architecture.md, so the page cannot drift from the code.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "anykeypoint"
PAGE = ROOT / "docs" / "architecture.md"
FAMILIES = ("matching", "generative", "fewshot")
FACE = "__init__"  # the package itself: what `import anykeypoint` gives


def modules() -> dict[str, Path]:
    """Dotted name below `anykeypoint` -> file; the package itself is FACE."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name or FACE] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of this package that a file names, in import statements and in dotted strings of registries."""
    package = [] if name == FACE else name.split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                base = package[: len(package) - node.level + 1] + base
            elif base[:1] == ["anykeypoint"]:
                base = base[1:]
            else:
                continue
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                yield whole if whole in known else ".".join(base) or FACE
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "anykeypoint":
                    yield alias.name.partition(".")[2] or FACE


KNOWN = modules()
GRAPH = {name: sorted(set(imports(name, path, KNOWN)) - {name}) for name, path in KNOWN.items()}
ARROWS = [(start, end) for start, ends in GRAPH.items() for end in ends]


def room(name: str) -> str:
    return name.split(".")[0]


def floors() -> dict[str, int]:
    """Room -> floor, from the table of docs/architecture.md."""
    rows = re.findall(r"^\| F(\d+) \|([^|]*)\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(floor) for floor, names in rows for name in re.findall(r"`([a-z_]+)`", names)}


def circles(graph: dict[str, list[str]]) -> list[list[str]]:
    """Groups of nodes that reach one another (Tarjan's strongly connected components of two or more)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            cut = stack.index(node)
            if len(stack) - cut > 1:
                found.append(sorted(stack[cut:]))
            del stack[cut:]

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_circles_are_found():
    """The finder itself: without this, a finder that finds nothing would pass every other test here."""
    assert circles({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) == [["a", "b", "c"]]
    assert circles({"a": ["b"], "b": []}) == []


def test_every_import_was_read():
    assert len(KNOWN) > 200 and ("pose", "geometry") in ARROWS and ("cli.app", "errors") in ARROWS
    assert ("pose", "drawing.overlay") in ARROWS, "imports inside functions count"


def test_no_module_imports_itself_by_a_detour():
    assert circles(GRAPH) == []


def test_rooms_form_no_circle():
    graph: dict[str, list[str]] = {}
    for start, end in ARROWS:
        if room(start) != room(end):
            graph.setdefault(room(start), []).append(room(end))
    assert circles(graph) == []


def test_every_room_is_on_a_floor():
    assert sorted({room(name) for name in KNOWN}) == sorted(floors())


def test_arrows_run_down_the_floors():
    """A room may use rooms of lower floors, and rooms of its own floor as long as these form no circle (see above)."""
    floor = floors()
    upwards = [arrow for arrow in ARROWS if floor[room(arrow[1])] > floor[room(arrow[0])]]
    assert upwards == []


@pytest.mark.parametrize(("start", "end"), [("training", "evaluation"), ("evaluation", "training")])
def test_training_and_evaluation_do_not_know_each_other(start, end):
    assert [arrow for arrow in ARROWS if (room(arrow[0]), room(arrow[1])) == (start, end)] == []


@pytest.mark.parametrize("base", ["models", "training"])
def test_families_do_not_know_each_other(base):
    def family(name: str) -> str | None:
        parts = name.split(".")
        return parts[1] if parts[0] == base and parts[1:] and parts[1] in FAMILIES else None

    pairs = [(start, end) for start, end in ARROWS if family(start) and family(end)]
    assert [pair for pair in pairs if family(pair[0]) != family(pair[1])] == []


def test_the_root_holds_at_most_ten_files():
    assert len([path for path in SOURCE.iterdir() if path.is_file()]) <= 10


def test_files_in_sibling_rooms_have_names_of_their_own():
    """One name, one thing: two folders of one parent share no file name, `__init__`, `registry` and verbs aside."""
    by_parent: dict[Path, dict[str, list[str]]] = {}
    for name, path in KNOWN.items():
        if path.name in ("__init__.py", "registry.py", "__main__.py") or room(name) == "cli" or path.parent == SOURCE:
            continue
        by_parent.setdefault(path.parent.parent, {}).setdefault(path.name, []).append(name)
    doubled = [names for files in by_parent.values() for names in files.values() if len(names) > 1]
    assert doubled == []


def definitions(kind: type) -> Iterator[tuple[str, ast.AST]]:
    """(module, node) of every class or function of the package."""
    for name, path in KNOWN.items():
        yield from (
            (name, node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if type(node) is kind
        )


def test_a_class_name_stands_for_one_class():
    places: dict[str, list[str]] = {}
    for module, node in definitions(ast.ClassDef):
        if not node.name.startswith("_"):
            places.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def test_a_function_is_at_most_sixty_lines():
    """Counted from the first statement behind the docstring: the options of a verb of the command line are data."""
    long = []
    for module, node in definitions(ast.FunctionDef):
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if body and body[-1].end_lineno - body[0].lineno >= 60:
            long.append((module, node.name))
    assert long == []


def test_a_file_is_at_most_four_hundred_lines():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in KNOWN.items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
