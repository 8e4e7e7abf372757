"""Asks snapshots for paths while an audit hook notes all that Python does; prints it as JSON.

A program of its own, since an audit hook cannot be taken away again: argument 1 names a JSON file with `ready` and
`watched` (specs), `paths`, and `careless` (paths to open and a command to run without any snapshot, as a control).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from simulators.snapshot import TooLarge, open_snapshot

QUIET = ("object.", "builtins.id", "sys._getframe", "mmap.", "code.", "marshal.", "gc.", "compile", "exec", "fcntl.")
"""Events that neither touch a file nor start anything."""

events: list[tuple[str, list[str | int | None]]] = []
watching = False


def note(event: str, args: tuple[object, ...]) -> None:
    if watching and not event.startswith(QUIET):
        plain = [arg if isinstance(arg, int) or arg is None else os.fsdecode(arg) for arg in args if _is_plain(arg)]
        events.append((event, plain))


def _is_plain(arg: object) -> bool:
    return arg is None or isinstance(arg, (int, str, bytes, os.PathLike))


def ask(spec: object, paths: list[str]) -> None:
    with open_snapshot(spec) as snapshot:
        for path in paths:
            snapshot.entry(path)
            snapshot.names(path)
            snapshot.absent(path)
            with contextlib.suppress(TooLarge):
                snapshot.read(path)


def tell_where(really: object = os.open) -> None:
    """Have each open also tell what was opened in the end, links and all."""

    def opening(*args: object, **more: object) -> int:
        descriptor: int = really(*args, **more)  # type: ignore[operator]
        events.append(("opened", [str(Path(f"/proc/self/fd/{descriptor}").readlink())]))
        return descriptor

    os.open = opening


def main() -> None:
    global watching
    order = json.loads(Path(sys.argv[1]).read_text())
    for spec in order["ready"]:
        ask(spec, order["paths"])  # whatever is imported on the way, is so by now
    sys.addaudithook(note)
    if Path("/proc/self/fd").exists():
        tell_where()
    watching = True
    for spec in order["watched"]:
        ask(spec, order["paths"])
    for path in order["careless"]:
        with contextlib.suppress(OSError):
            Path(path).read_bytes()
        with contextlib.suppress(OSError):
            Path(path).open("a").close()
        subprocess.run([sys.executable, "-c", ""], check=True)
    watching = False
    json.dump(events, sys.stdout)


main()
