"""How fast foreign logs are read, beside `orjson.loads` alone on the same bytes, and what memory a large file takes.

    python tests/benchmarks/import_speed.py             # ratios, a minute
    python tests/benchmarks/import_speed.py --memory    # also a 1 GB file of each kind, in a process of its own

Logs are generated: conversations of 24 messages with tool outputs of up to 8 KB, about the shape of real ones. Each
round takes both ways in turn; what is printed are medians. Machines differ: read the ratio.
"""

from __future__ import annotations

import argparse
import itertools
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from resample.formats import Located, canonical, read

ROUNDS = 5
WORDS = ("the", "build", "fails", "because", "a", "test", "of", "parse", "reads", "42", "lines", "of", "old", "files")


def text(draw: random.Random, length: int) -> str:
    """About `length` characters of words and lines."""
    return " ".join(draw.choices(WORDS, k=max(1, length // 5))).replace("lines ", "lines\n")


def steps(draw: random.Random) -> Iterator[tuple[str, str, str]]:
    """What an agent says, the command it runs, and the output."""
    for _ in range(11):
        yield text(draw, 200), text(draw, 60), text(draw, draw.choice([100, 800, 8000]))


def chat(draw: random.Random, number: int) -> Iterator[Any]:
    """One conversation a line, as OpenAI messages."""
    messages: list[Any] = [{"role": "system", "content": text(draw, 900)}, {"role": "user", "content": text(draw, 200)}]
    for index, (said, command, output) in enumerate(steps(draw)):
        function = {"name": "bash", "arguments": orjson.dumps({"command": command}).decode()}
        call = {"id": f"call_{index}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": said, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call_{index}", "content": output})
    yield {"messages": messages, "model": "m"}


def canonical_form(draw: random.Random, number: int) -> Iterator[Any]:
    """The program's own form."""
    (log,) = chat(draw, number)
    yield {"id": f"c{number}", "messages": log["messages"]}


def claude_code(draw: random.Random, number: int) -> Iterator[Any]:
    """A session of its own id, a record per block."""
    base = {"sessionId": f"session-{number}", "cwd": "/repo", "version": "2.0.1", "isSidechain": False}
    parent = None
    count = itertools.count()

    def record(kind: str, message: Any, **more: Any) -> Any:
        nonlocal parent
        uuid = f"u-{number}-{next(count)}"
        row = {**base, "type": kind, "uuid": uuid, "parentUuid": parent, "message": message, **more}
        row["timestamp"] = "2026-01-01T00:00:00.000Z"
        parent = uuid
        return row

    yield record("user", {"role": "user", "content": text(draw, 200)})
    for index, (said, command, output) in enumerate(steps(draw)):
        reply = {"id": f"msg_{number}_{index}", "type": "message", "role": "assistant", "model": "m"}
        usage = {"input_tokens": 10, "output_tokens": 20}
        use = {"type": "tool_use", "id": f"toolu_{number}_{index}", "name": "Bash", "input": {"command": command}}
        result = {"type": "tool_result", "tool_use_id": use["id"], "content": output}
        yield record("assistant", {**reply, "content": [{"type": "text", "text": said}], "usage": usage})
        yield record("assistant", {**reply, "content": [use], "usage": usage})
        yield record("user", {"role": "user", "content": [result]}, toolUseResult={"stdout": output[:200]})


def codex(draw: random.Random, number: int) -> Iterator[Any]:
    """A rollout; what the display log says again is there, too."""

    def row(kind: str, **payload: Any) -> Any:
        return {"timestamp": "2026-01-01T00:00:00.000Z", "type": kind, "payload": payload}

    def message(role: str, kind: str, said: str) -> Any:
        return row("response_item", type="message", role=role, content=[{"type": kind, "text": said}])

    yield row("session_meta", id=f"s{number}", cwd="/repo", cli_version="0.50", instructions=text(draw, 900))
    yield message("user", "input_text", text(draw, 200))
    for index, (said, command, output) in enumerate(steps(draw)):
        yield row("turn_context", cwd="/repo", model="m")
        yield message("assistant", "output_text", said)
        yield row("event_msg", type="agent_message", message=said)
        call = {"type": "function_call", "name": "shell", "call_id": f"call_{index}"}
        yield row("response_item", **call, arguments=orjson.dumps({"command": ["bash", "-lc", command]}).decode())
        said_back = orjson.dumps({"output": output, "metadata": {"exit_code": 0}}).decode()
        yield row("response_item", type="function_call_output", call_id=f"call_{index}", output=said_back)


KINDS: dict[str, Callable[[random.Random, int], Iterator[Any]]] = {
    "canonical": canonical_form,
    "openai_chat": chat,
    "claude_code": claude_code,
    "codex": codex,
}
ONE_PER_FILE = ("claude_code", "codex")


def generate(folder: Path, kind: str, size: int) -> None:
    """Files of about `size` bytes together: one file, or one per session where the format has it so."""
    draw = random.Random(kind)
    written = 0
    for number in itertools.count():
        name = f"{number:06}.jsonl" if kind in ONE_PER_FILE else "all.jsonl"
        with (folder / name).open("ab") as file:
            written += sum(file.write(orjson.dumps(row) + b"\n") for row in KINDS[kind](draw, number))
        if written >= size:
            return


def parse_alone(folder: Path) -> int:
    """The floor: every line parsed, and dropped."""
    count = 0
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            for line in file:
                orjson.loads(line)
                count += 1
    return count


def read_all(folder: Path) -> int:
    """Every transcript, valid and with an id, as a run gets it."""
    return sum(isinstance(item, Located) for item in read(folder))


def import_all(folder: Path) -> int:
    """The same, written as canonical lines."""
    out = folder.parent / "out.jsonl"
    return canonical.write_bodies(out, (item.body for item in read(folder) if isinstance(item, Located)))


def timed(work: Callable[[Path], int], folder: Path) -> float:
    """Seconds of this process."""
    start = time.process_time()
    assert work(folder) > 0
    return time.process_time() - start


def speed(kind: str, size: int) -> None:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "logs")
        folder.mkdir()
        generate(folder, kind, size)
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        ways = (parse_alone, read_all, import_all)
        rounds = [[timed(way, folder) for way in ways] for _ in range(ROUNDS)]
        floor, reading, importing = (statistics.median(times) for times in zip(*rounds, strict=True))
        print(
            f"{kind:<12} {megabytes / floor:8.0f} {megabytes / reading:8.0f} {reading / floor:6.2f}x"
            f" {megabytes / importing:8.0f} {importing / floor:6.2f}x"
        )


def tau2_document(path: Path, size: int) -> None:
    """One JSON object with a list of simulations, as tau2 writes it."""
    draw = random.Random("tau2")
    with path.open("wb") as file:
        written = file.write(b'{"info": {"environment_info": {"policy": "be kind"}}, "simulations": [')
        for number in itertools.count():
            messages: list[Any] = [{"role": "user", "content": text(draw, 200)}]
            for index, (said, command, output) in enumerate(steps(draw)):
                call = {"id": f"c{index}", "name": "look", "arguments": {"q": command}, "requestor": "assistant"}
                messages.append({"role": "assistant", "content": said, "tool_calls": [call]})
                messages.append({"role": "tool", "id": f"c{index}", "content": output, "requestor": "assistant"})
            row = {"id": f"s{number}", "task_id": str(number), "trial": 0, "messages": messages}
            written += file.write((b"," if number else b"") + orjson.dumps(row))
            if written >= size:
                break
        file.write(b'], "tasks": []}')


def memory(kind: str, size: int) -> None:
    """Peak memory of importing one file of `size` bytes."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "logs")
        folder.mkdir()
        if kind == "tau2_bench":
            tau2_document(folder / "results.json", size)
        else:
            generate(folder, kind, size)
        command = [sys.executable, __file__, "--import-here", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"{kind:<12} {sum(p.stat().st_size for p in folder.iterdir()) / 1e6:8.0f} MB: {done.stdout.strip()}")


def import_here(folder: Path) -> None:
    """In a process of its own: import, and say what it took."""
    start = time.time()
    count = import_all(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count} conversations in {time.time() - start:.0f} s, peak {peak:.0f} MB of memory")


def main() -> None:
    """The benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--megabytes", type=int, default=40, help="per kind, for speed")
    parser.add_argument("--large", type=int, default=1000, help="megabytes of the large file")
    parser.add_argument("--import-here", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.import_here:
        import_here(options.import_here)
        return
    print("             loads MB/s  read MB/s       import MB/s")
    for kind in KINDS:
        speed(kind, options.megabytes * 1_000_000)
    for kind in ("openai_chat", "tau2_bench") if options.memory else ():
        memory(kind, options.large * 1_000_000)


if __name__ == "__main__":
    main()
