"""Small wrong changes to the core files, one at a time: do the tests notice?

    python tools/mutants.py --count 60 --seed 0 -o mutants.json
    python tools/mutants.py --list                     # what would be changed, without running anything

A mutant is one comparison, operator, constant or truth value changed in a copy of the source; it is killed when the
tests that `mutants.yaml` names for its file fail. Mutants are drawn by the seed, evenly over the groups of that file.
Changes that mutants.yaml lists as harmless are counted apart. The tool ends with 1 when fewer than `--least` percent
of the others are killed.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "anykeypoint"
GROUPS = Path(__file__).with_name("mutants.yaml")
COMPARISONS = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="}
OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}


@dataclass(frozen=True)
class Mutant:
    """One change: `old` becomes `new` in bytes [start, end) of a line, counted from 1."""

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.old.strip()!r} -> {self.new.strip()!r}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Every change that is tried in a file, in its order; texts, annotations and error messages stay as they are."""
    source = path.read_text(encoding="utf-8")
    lines = source.encode().split(b"\n")
    tree = ast.parse(source)
    skipped = {id(node) for part in ast.walk(tree) for node in _not_mutated(part)}

    def change(line: int, start: int, end: int, new: str) -> Mutant:
        old = lines[line - 1][start:end].decode()
        return Mutant(str(path.relative_to(PACKAGE)), line, start, end, old, new)

    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            found = _between(lines, node.left, node.comparators[0])
            if found:
                yield change(*found, f" {COMPARISONS[type(node.ops[0])]} ")
        elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            found = _between(lines, node.left, node.right)
            if found:
                yield change(*found, f" {OPERATORS[type(node.op)]} ")
        elif isinstance(node, ast.BoolOp) and len(node.values) == 2:
            found = _between(lines, *node.values)
            if found:
                yield change(*found, " or " if isinstance(node.op, ast.And) else " and ")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield change(node.lineno, node.col_offset, node.col_offset + 4, "")
        elif isinstance(node, ast.Constant) and node.lineno == node.end_lineno:
            if isinstance(node.value, bool):
                yield change(node.lineno, node.col_offset, node.end_col_offset, str(not node.value))
            elif isinstance(node.value, int):
                yield change(node.lineno, node.col_offset, node.end_col_offset, str(node.value + 1))
            elif isinstance(node.value, float):
                yield change(node.lineno, node.col_offset, node.end_col_offset, repr(node.value * 1.5 + 1e-3))


def _not_mutated(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one whose change says nothing about behaviour: annotations, decorators, error messages, texts."""
    below: list[ast.AST] = []
    if isinstance(node, ast.keyword) and node.arg == "strict":  # zip's own check of lists that are of one length
        below = [node.value]
    elif isinstance(node, ast.Raise | ast.JoinedStr):
        below = [node]
    elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        below = [node.annotation]
    elif isinstance(node, ast.ClassDef):
        below = node.decorator_list  # dataclass(frozen=True) and the like
    elif isinstance(node, ast.FunctionDef):
        below = [*node.decorator_list, *([] if node.returns is None else [node.returns])]
    for one in below:
        yield from ast.walk(one)


def _between(lines: list[bytes], left: ast.expr, right: ast.expr) -> tuple[int, int, int] | None:
    """Line and bytes between two operands, where only the operator stands there, on one line."""
    if left.end_lineno != right.lineno:
        return None
    text = lines[right.lineno - 1][left.end_col_offset : right.col_offset].decode()
    bare = text.strip() in {"<", "<=", ">", ">=", "==", "!=", "+", "-", "*", "/", "and", "or"}
    return (right.lineno, left.end_col_offset, right.col_offset) if bare else None


def draw(count: int, seed: int) -> list[tuple[Mutant, list[str]]]:
    """`count` mutants with the tests that should kill them, shared evenly among the groups of mutants.yaml."""
    rng, chosen = random.Random(seed), []
    groups = yaml.safe_load(GROUPS.read_text(encoding="utf-8"))
    groups.pop("harmless")
    for number, group in enumerate(groups.values()):
        found = [
            (mutant, tests)
            for pattern, tests in group.items()
            for path in sorted(PACKAGE.glob(pattern))
            for mutant in mutants(path)
        ]
        share = count // len(groups) + (number < count % len(groups))
        chosen += rng.sample(found, min(share, len(found)))
    return chosen


def harmless(mutant: Mutant) -> bool:
    """Whether mutants.yaml says why no test can notice this change."""
    line = (PACKAGE / mutant.file).read_text(encoding="utf-8").split("\n")[mutant.line - 1].strip()
    given = {"file": mutant.file, "line": line, "old": mutant.old.strip(), "new": mutant.new.strip()}
    known = yaml.safe_load(GROUPS.read_text(encoding="utf-8"))["harmless"]
    return any(given == {key: one[key] for key in given} for one in known)


def killed(mutant: Mutant, tests: list[str], copy: Path, limit: float) -> bool:
    """Whether the tests fail, or do not end within `limit` seconds, with the mutant in the copy of the source."""
    path = copy / mutant.file
    whole = path.read_bytes()
    lines = whole.split(b"\n")
    line = lines[mutant.line - 1]
    lines[mutant.line - 1] = line[: mutant.start] + mutant.new.encode() + line[mutant.end :]
    path.write_bytes(b"\n".join(lines))
    environment = {**os.environ, "PYTHONPATH": str(copy.parent), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_bytes(whole)
    if done.returncode not in (0, 1, 2):  # 2: the tests could not even be collected
        raise SystemExit(f"pytest ended with {done.returncode}: {done.stdout.decode()[-500:]}")
    return done.returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--least", type=float, default=90.0, help="percent that must be killed")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that the tests may take with one mutant")
    parser.add_argument("--jobs", type=int, default=2, help="how many mutants are tried at once")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("-o", "--output", type=Path, help="a JSON file with every mutant and what became of it")
    options = parser.parse_args()
    chosen = draw(options.count, options.seed)
    if options.list:
        print("\n".join(str(mutant) for mutant, _ in chosen))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for job in range(options.jobs):
            copy = Path(folder) / str(job) / "anykeypoint"
            shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
            copies.put(copy)

        def attempt(one: tuple[Mutant, list[str]]) -> dict[str, Any]:
            copy, start = copies.get(), time.monotonic()
            try:
                dead = killed(*one, copy, options.limit)
            finally:
                copies.put(copy)
            return {**asdict(one[0]), "killed": dead, "seconds": round(time.monotonic() - start, 1)}

        for number, ((mutant, _), row) in enumerate(zip(chosen, pool.map(attempt, chosen), strict=True), start=1):
            row["harmless"] = not row["killed"] and harmless(mutant)
            rows.append(row)
            told = "killed" if row["killed"] else "harmless" if row["harmless"] else "SURVIVED"
            print(f"{number}/{len(chosen)} {told} {mutant}", flush=True)
            if options.output:
                options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    noticeable = [row for row in rows if not row["harmless"]]
    share = 100 * sum(row["killed"] for row in noticeable) / max(1, len(noticeable))
    print(f"{share:.0f} % of {len(noticeable)} mutants were killed; {len(rows) - len(noticeable)} more are harmless")
    sys.exit(share < options.least)


if __name__ == "__main__":
    main()
