"""Time and peak memory of indexing and selecting from a large collection, against reading its bytes.

    python tests/benchmarks/selection_memory.py [--transcripts 100000] [--kilobytes 60] [--sample 1000]

Writes a generated collection (6 GB by default) to a temporary folder, and removes it. Prints what a run's planning
takes: the peak of resident memory in MB, and the time as a multiple of parsing the same lines with orjson.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson


def write(path: Path, count: int, kilobytes: int) -> None:
    """Coding sessions of words, each with its own; one in fifty is a near-copy of another."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randrange(2, 10))) for _ in range(20_000)]
    page = " ".join(draw.choices(words, k=2_000_000))
    outputs = 12
    size = kilobytes * 1000 // outputs

    def text() -> str:
        start = draw.randrange(len(page) - size)
        return page[start : start + size]

    with path.open("wb") as file:
        for number in range(count):
            messages = [{"role": "user", "content": f"Task {number}: {text()[:200]}"}]
            for step in range(outputs):
                function = {"name": f"tool{step % 4}", "arguments": orjson.dumps({"path": f"/srv/{number}"}).decode()}
                call = {"id": f"c{step}", "type": "function", "function": function}
                messages += [
                    {"role": "assistant", "content": None, "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": f"c{step}", "content": text()},
                ]
            messages += [{"role": "user", "content": "And now?"}, {"role": "assistant", "content": "Done."}]
            metadata = {
                "source": "bench",
                "stratum": f"s{number % 5}",
                "weight": 1 + number % 3,
                "missing": ["tool_schemas"],
            }
            file.write(orjson.dumps({"id": f"t{number}", "messages": messages, "metadata": metadata}) + b"\n")


def plan(path: Path, work_dir: Path, sample: int | None) -> None:
    """In a process of its own: index, and say how much memory that took."""
    from resample.prepare.index import Indexed, Wanted, index
    from resample.prepare.policies import Truncate, policy
    from resample.prepare.select import Select

    began = time.process_time()
    wanted = Wanted(path, policy(Truncate()), select=Select(sample=sample))
    used = sum(isinstance(entry, Indexed) for entry in index(wanted, work_dir))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(orjson.dumps({"used": used, "seconds": time.process_time() - began, "megabytes": peak}).decode())


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transcripts", type=int, default=100_000)
    parser.add_argument("--kilobytes", type=int, default=60)
    parser.add_argument("--sample", type=int, default=1000)
    parser.add_argument("--plan", nargs=3, metavar=("PATH", "WORK_DIR", "SAMPLE"))
    options = parser.parse_args()
    if options.plan:
        path, work_dir, sample = options.plan
        plan(Path(path), Path(work_dir), int(sample) or None)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.jsonl")
        write(path, options.transcripts, options.kilobytes)
        began = time.process_time()
        with path.open("rb") as file:
            for line in file:
                orjson.loads(line)
        loads = time.process_time() - began
        print(f"{options.transcripts:,} transcripts, {path.stat().st_size / 1e9:.2f} GB; orjson.loads {loads:.1f} s")
        for sample in (options.sample, 0):
            words = [sys.executable, __file__, "--plan", str(path), folder + "/run", str(sample)]
            found = orjson.loads(subprocess.run(words, check=True, capture_output=True).stdout)
            what = f"sample of {sample:,}" if sample else "all"
            print(
                f"{what:>16}: {found['used']:,} prefixes, {found['seconds'] / loads:.1f} x orjson.loads,"
                f" peak {found['megabytes']:.0f} MB"
            )


if __name__ == "__main__":
    main()
