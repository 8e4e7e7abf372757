"""The peak memory of a whole `resample run` over many long transcripts, in a process of its own.

    python tests/benchmarks/speed/memory.py                  # 10,000 transcripts of 60 KB: 600 MB of disk, minutes
    python tests/benchmarks/speed/memory.py 10000 100000     # and 100,000: 6 GB, an hour

Every turn ends at once, so that the time goes into what is measured: reading, planning, scheduling, storing, counting.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
from workload import transcripts

SIZE = 60_000
CONCURRENCY = 500


def peak(count: int) -> tuple[float, float]:
    """Peak memory in MB, and seconds, of a run over so many transcripts."""
    here = Path(__file__).parent
    server = subprocess.Popen(
        [sys.executable, here / "mock_model.py", "--latency", "0.05", "--cache", "0", "--calls", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "transcripts.jsonl")
            with path.open("wb") as file:
                for transcript in transcripts(count, SIZE):
                    file.write(orjson.dumps(transcript) + b"\n")
            roles = ("candidate", "simulator", "judge")
            words = [f"{role}.{word}" for role in roles for word in (f"model=openai/{role}", f"base_url={url}")]
            words += [f"transcripts.path={path}", f"out={folder}/run", f"concurrency={CONCURRENCY}", "samples=1"]
            words += ["baselines=[]", "preflight=false", "progress=false"]
            measured = [sys.executable, str(here / "memory.py"), "--run", *words]
            start = time.perf_counter()
            told = subprocess.run(measured, check=True, capture_output=True, text=True).stdout
            return float(told.split()[-1]), time.perf_counter() - start
    finally:
        server.kill()
        server.wait()


def run(words: list[str]) -> None:
    """`resample run`, and then the peak memory of this process."""
    from resample.cli import main

    code = main(["run", *words])
    assert code == 0, code
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure each count, and print what more transcripts take."""
    first = None
    for count in [int(word) for word in sys.argv[1:]] or [10_000]:
        megabytes, seconds = peak(count)
        first = first or megabytes
        print(f"{count:,} transcripts: peak {megabytes:.0f} MB, {megabytes / first:.2f}x the first; {seconds:.0f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2:])
    else:
        main()
