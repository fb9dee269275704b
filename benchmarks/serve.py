"""Requests per second and latency of `anykeypoint serve`, against the same calls in one process.

    python benchmarks/serve.py --json serve.json

The server is a process of its own. Every request has a picture that was not asked about before, so that no answer comes
from the cache; the pictures are made, and the server is warm, before anything is measured. `one process` calls
`predict` in this process for one picture after another, and `predict_many` for all of them; `cached` asks the server
again for the pictures of one client.
"""

import argparse
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORDS = "top left corner; top right corner; bottom right corner; bottom left corner"


def pictures(count: int, start: int) -> list[bytes]:
    """JPEG files of the sheet of paper, each with other noise in a corner: a slightly other colour may not survive."""
    import numpy as np
    from PIL import Image

    with Image.open(ROOT / "examples" / "paper_2.jpg") as sheet:
        sheet.load()
    files = []
    for number in range(start, start + count):
        file, copy = BytesIO(), sheet.copy()
        noise = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        copy.paste(Image.fromarray(noise), (0, 0))
        copy.save(file, "JPEG", quality=92)
        files.append(file.getvalue())
    return files


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used, all of its threads; 0 where /proc does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(
    call: Callable[[bytes], Any], files: Sequence[bytes], clients: int, cpu: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Call once for each file, from this thread and more up to `clients`: requests per second, and milliseconds.

    cpu: gives the seconds of CPU that answering has used so far; `cpu_ms` is its mean over the requests, which says
        what a request costs where other work slows the machine down.
    """
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for file in files:
        waiting.put(file)
    taken: list[float] = []
    failed: list[BaseException] = []

    def work() -> None:
        while True:
            try:
                file = waiting.get_nowait()
            except queue.Empty:
                return
            began = time.perf_counter()
            try:
                call(file)
            except Exception as error:
                failed.append(error)
            taken.append(1000 * (time.perf_counter() - began))

    threads = [threading.Thread(target=work) for _ in range(clients - 1)]
    began, used = time.perf_counter(), cpu()
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - began
    if unexpected := [error for error in failed if getattr(error, "status", 0) not in (429, 503)]:
        raise SystemExit(f"{len(unexpected)} of {len(files)} requests failed, the first with: {unexpected[0]}")
    cuts = statistics.quantiles(taken, n=20, method="inclusive")
    row = {"per_second": (len(files) - len(failed)) / whole, "median_ms": statistics.median(taken), "p95_ms": cuts[-1]}
    return {**row, "cpu_ms": 1000 * (cpu() - used) / len(files), "refused": len(failed)}


def measure(model: str, requests: int, clients: Sequence[int]) -> dict[str, dict[str, float]]:
    """A row for each number of clients, and for the same calls in this process."""
    import anykeypoint as ak

    command = [sys.executable, "-m", "anykeypoint", "serve", "-q", "--model", model, "--port", "0", "--device", "cpu"]
    rows, made = {}, 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        client = ak.Client(process.stdout.readline().strip().rstrip("/"))
        while (progress := client.progress())["state"] == "loading":
            time.sleep(0.2)
        if progress["state"] == "failed":
            raise SystemExit(progress["step"])

        def asked(files: Sequence[bytes], count: int) -> dict[str, float]:
            return timed(lambda file: client.predict(file, WORDS), files, count, lambda: cpu_of(process.pid))

        asked(pictures(16, 60_000), 8)
        for count in clients:
            number = max(requests, 2 * count)
            files = pictures(number, made)
            made += number
            rows[f"{count} client{'s' * (count > 1)}"] = asked(files, count)
        rows["1 client, cached"] = asked(pictures(requests, 0), 1)
    finally:
        process.terminate()
        process.wait()

    loaded, sheet = ak.load(model, device="cpu"), ak.Category.from_text(WORDS)
    files = pictures(requests, 0)
    loaded.predict(files[0], sheet)
    rows["one process, one by one"] = timed(lambda file: loaded.predict(file, sheet), files, 1)
    began, used = time.perf_counter(), time.process_time()
    loaded.predict_many(files, sheet)
    whole, spent = time.perf_counter() - began, time.process_time() - used
    rows["one process, predict_many"] = {"per_second": len(files) / whole, "cpu_ms": 1000 * spent / len(files)}
    return rows


def table(rows: dict[str, dict[str, float]]) -> str:
    """The rows as a table of Markdown."""
    lines = ["| | requests per second | median, ms | 95 %, ms | CPU, ms | refused |", "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        columns = [f"{row[key]:.0f}" if key in row else "" for key in ("median_ms", "p95_ms", "cpu_ms", "refused")]
        lines.append(f"| {name} | {row['per_second']:.1f} | {' | '.join(columns)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--requests", type=int, default=64, help="requests of a row; at least two for each client")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    rows = measure(arguments.model, arguments.requests, arguments.clients)
    print(table(rows))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
