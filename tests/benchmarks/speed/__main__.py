"""How close the engine is to the wire, and what it gets out of a prompt cache, beside other clients on the same work.

    pip install -e '.[bench]'
    python tests/benchmarks/speed                      # all of it, about twenty minutes
    python tests/benchmarks/speed client cache         # some of it
    python tests/benchmarks/speed --rounds 5 engine

A mock model server has one core, the client at work the other; rounds are interleaved, and what is printed are medians.
Machines differ, and so do hours on one machine: read the ratios. Memory has a benchmark of its own: `memory.py`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))

Result = dict[str, Any]


def measured(client: str, work: str, latency: float, **given: Any) -> Result:
    """One client at one piece of work, with what the server counted."""
    server = subprocess.Popen(
        [sys.executable, HERE / "mock_model.py", "--latency", str(latency), "--core", str(CORES[0])],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    try:
        command = [sys.executable, HERE / "clients.py", client, work, f"--url={address}/v1", f"--core={CORES[-1]}"]
        told = subprocess.run([*command, *words], check=True, capture_output=True, text=True)
        with urlopen(f"{address}/counts") as counts:
            return {**orjson.loads(told.stdout.splitlines()[-1]), **orjson.loads(counts.read())}
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{client}: {error.stderr[-2000:]}") from None
    finally:
        server.kill()
        server.wait()


def rounds(count: int, works: Sequence[tuple[str, str, float, dict[str, Any]]]) -> list[Result]:
    """The median of each figure, over interleaved rounds of several measurements."""
    found: list[list[Result]] = [[] for _ in works]
    for _ in range(count):
        for results, (client, work, latency, given) in zip(found, works, strict=True):
            results.append(measured(client, work, latency, **given))
    return [
        {
            "client": results[0]["client"],
            "cpu": statistics.median(each["cpu"] / each["calls"] * 1000 for each in results),
            "rate": statistics.median(each["calls"] / each["seconds"] for each in results),
            "seconds": statistics.median(each["seconds"] for each in results),
            "cached": statistics.median(_cached_share(each) for each in results),
        }
        for results in found
    ]


def _cached_share(result: Result) -> float:
    models = result["models"].values()
    return sum(m["cached_tokens"] for m in models) / max(sum(m["prompt_tokens"] for m in models), 1)


def client_alone(count: int) -> None:
    """CPU per call of a client, 60 KB prompts, latency 0."""
    few = {"size": 60_000, "prefixes": 5, "samples": 40, "in_flight": 20}
    many = {**few, "samples": 200}
    works = [("bare", "calls", 0.0, many), ("client", "calls", 0.0, many)]
    works += [(name, "calls", 0.0, few) for name in ("openai", "litellm")]
    print("client alone, CPU per call, 60 KB prompts, latency 0 (goal: client at most 3x)")
    _by_cpu(rounds(count, works))


def whole_engine(count: int) -> None:
    """CPU per call of the whole dialogue, 60 KB prefixes at 200 ms."""
    given = {"size": 60_000, "prefixes": 20, "samples": 10, "in_flight": 100}
    less = {**given, "prefixes": 3}
    works = [("bare", "dialogue", 0.2, given), ("engine", "dialogue", 0.2, given), ("inspect", "dialogue", 0.2, less)]
    found = rounds(count, works)
    print("whole dialogue, CPU per call, 60 KB prefixes at 200 ms (goals: engine at most 8x; inspect 25x the engine)")
    _by_cpu(found)
    print(f"  inspect / engine: {found[2]['cpu'] / found[1]['cpu']:.1f}x")


def throughput(count: int) -> None:
    """Calls per second of the whole dialogue, 2 KB prefixes, 500 in flight at 200 ms."""
    given = {"size": 2_000, "prefixes": 400, "samples": 10, "in_flight": 500}
    found = rounds(count, [(name, "dialogue", 0.2, given) for name in ("bare", "client", "engine")])
    print("throughput, 2 KB prefixes, 500 in flight at 200 ms (goal: engine at least 90 % of client)")
    for each in found:
        print(f"  {each['client']:8} {each['rate']:7.0f} calls/s  {each['rate'] / found[1]['rate']:6.1%} of client")


def cache(count: int) -> None:
    """Cached share of prompt tokens, k = 8, 60 KB prefixes; and what the order costs in time."""
    given = {"size": 60_000, "prefixes": 80, "samples": 8, "in_flight": 100}
    (best,) = rounds(1, [("engine", "dialogue", 0.0, {**given, "in_flight": 1})])
    works = [("engine", "dialogue", 0.2, {**given, "warm": warm}) for warm in ("auto", "off")]
    ordered, unordered = rounds(count, works)
    print("cached share of prompt tokens, k = 8, 60 KB prefixes, 100 in flight (goals: 97 % of the best; 5 % slower)")
    print(f"  one at a time (the best order) {best['cached']:6.1%}")
    print(f"  cache.warm=auto                {ordered['cached']:6.1%}  {ordered['cached'] / best['cached']:.1%} of it")
    print(f"  cache.warm=off                 {unordered['cached']:6.1%}")
    print(f"  makespan, auto / off           {ordered['seconds'] / unordered['seconds']:.3f}")


def _by_cpu(found: Sequence[Result]) -> None:
    for each in found:
        print(f"  {each['client']:8} {each['cpu']:7.3f} ms  {each['cpu'] / found[0]['cpu']:6.1f}x bare")


MEASURES = {"client": client_alone, "engine": whole_engine, "throughput": throughput, "cache": cache}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", metavar="|".join(MEASURES))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if unknown := set(given.measures) - MEASURES.keys():
        parser.error(f"no such measure: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if len(CORES) < 2:
        parser.error("two cores are needed: one for the server, one for the client")
    for name in given.measures or MEASURES:
        MEASURES[name](given.rounds)


if __name__ == "__main__":
    main()
