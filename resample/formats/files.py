"""Which files a path stands for: one file, a folder, or a glob; in a fixed order."""

from __future__ import annotations

import glob
import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from resample.formats.inputs import Input
from resample.formats.streams import COMPRESSIONS
from resample.types import UserError

RUN_FILE = "run.sqlite"
"""A folder that holds one is a run directory: what it keeps are results, not input."""


def find(path: str | Path, suffixes: tuple[str, ...], skip: Path | None = None) -> Iterator[Input]:
    """The files that `path` stands for, sorted by name.

    In a folder, at any depth, files count that end in one of `suffixes` (and perhaps `.gz` or `.zst`); hidden
    ones, run directories, folders behind symbolic links and everything in `skip` do not. A glob takes any
    file it matches, and looks into the folders it matches. Raises UserError if there is nothing at `path`.
    """
    given = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100  (keeps links, unlike resolve)
    endings = tuple(suffix + zipped for suffix in suffixes for zipped in ("", *COMPRESSIONS))
    mode = _mode(given)
    if mode is None:
        return _in_glob(given, endings, _Avoid(skip, _fixed_part(given)))
    if stat.S_ISDIR(mode):
        return _in_folder(given, given, endings, _Avoid(skip, given))
    if not stat.S_ISREG(mode):
        raise UserError(f"transcripts.path={path}: neither a file nor a folder")
    return iter([Input(given, given.name, named=True)])


def _mode(path: Path) -> int | None:
    """What kind of thing is at `path`; None if there is nothing, or nothing that may be looked at."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None


class _Avoid:
    """What is not read because the program wrote it there itself: this run, or an earlier one."""

    def __init__(self, skip: Path | None, given: Path) -> None:
        self._skip = skip.resolve() if skip is not None else None
        # Transcripts may lie in the very folder a run writes to: then only what it writes is left out.
        self._only_files = self._skip is not None and given.resolve().is_relative_to(self._skip)

    def folder(self, path: Path) -> bool:
        if (path / RUN_FILE).exists():
            return True
        return self._skip is not None and not self._only_files and path.resolve() == self._skip

    def file(self, path: Path) -> bool:
        if self._skip is None:
            return False
        resolved = path.resolve()
        if self._only_files:
            return resolved.parent == self._skip and resolved.name in _WRITTEN
        return resolved.is_relative_to(self._skip)


_WRITTEN = ("transcripts.jsonl", "summary.json")


def _in_folder(folder: Path, root: Path, endings: tuple[str, ...], avoid: _Avoid) -> Iterator[Input]:
    try:
        with os.scandir(folder) as scanned:
            entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in scanned)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed: {error.strerror}") from None
    for name, is_folder in entries:
        path = folder / name
        if name.startswith("."):
            continue
        if is_folder:
            if not avoid.folder(path):
                yield from _in_folder(path, root, endings, avoid)
        elif name.lower().endswith(endings) and not path.is_dir() and not avoid.file(path):
            yield Input(path, path.relative_to(root).as_posix())


def _in_glob(pattern: Path, endings: tuple[str, ...], avoid: _Avoid) -> Iterator[Input]:
    text = str(pattern)
    # Unlike Path.glob, this one passes over hidden files.
    matches = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else []  # noqa: PTH207
    if not matches:
        raise UserError(f"transcripts.path={pattern}: nothing there")
    return _matched(map(Path, matches), _fixed_part(pattern), "**" in pattern.parts, endings, avoid)


def _matched(
    matches: Iterable[Path], root: Path, deep: bool, endings: tuple[str, ...], avoid: _Avoid
) -> Iterator[Input]:
    for path in matches:
        if path.is_dir():
            if not deep and not avoid.folder(path):  # `**` matches what is inside, too
                yield from _in_folder(path, root, endings, avoid)
        elif path.is_file() and not avoid.file(path) and not (deep and avoid.folder(path.parent)):
            yield Input(path, path.relative_to(root).as_posix())


def _fixed_part(pattern: Path) -> Path:
    """The folder a glob searches: its parts before the first one with a wildcard."""
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts)
    return Path(*fixed)
