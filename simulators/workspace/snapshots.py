"""Real snapshots under what is known: the files of an agent's workspace as they stood at the cut."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resample.types import UserError
from simulators.files import Base, Directory, File, Kind, Node
from simulators.snapshot import Entry, Snapshot, TooLarge, open_snapshot

_MOST_OPEN = 16


class Snapshots:
    """Opens snapshots by what config or transcripts say of them, each once.

    A transcript may be anybody's: what it names is opened only below the folders in `within`. `default` is for
    transcripts that name none, and may stand anywhere; it is opened at once, so that a bad one is noticed before
    anything is spent. Raises UserError.
    """

    def __init__(self, default: Any = None, within: Sequence[Path] = ()) -> None:
        self._default = default
        self._within = [path.resolve() for path in within]
        self._open: dict[str, Snapshot] = {}
        self.of(None)

    def of(self, named: Any) -> Snapshot | None:
        """The snapshot of a transcript that names this (or nothing). Raises UserError."""
        if named is not None:
            return self._opened("metadata", self._allowed(named))
        return None if self._default is None else self._opened("simulator", self._default)

    def _opened(self, where: str, spec: Any) -> Snapshot:
        """The snapshot, which is named by the key `workspace` of what `where` says."""
        key = repr(spec)
        if key not in self._open:
            if len(self._open) >= _MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
            try:
                self._open[key] = open_snapshot(spec)
            except UserError as error:
                raise UserError(f"{where}.{error}") from None
        return self._open[key]

    def _allowed(self, named: Any) -> Any:
        """What a transcript names, with its path made absolute. Raises UserError for one that may not be read."""
        path = named.get("path") if isinstance(named, Mapping) else named
        if not isinstance(path, str) or not path or "\0" in path:
            raise UserError(f"metadata.workspace: {named!r:.200} names no path")
        found = next((base / path for base in self._within if _exists(base / path)), Path(path))
        whole = found.expanduser().resolve()
        if not any(whole == base or base in whole.parents for base in self._within):
            raise UserError(
                f"metadata.workspace: {path}: lies neither in the folder of the transcripts nor in the working"
                " directory; a transcript may be anybody's, so name other folders in simulator.workspaces_in=[DIR]"
            )
        return {**named, "path": str(whole)} if isinstance(named, Mapping) else str(whole)


def _exists(path: Path) -> bool:
    bare = Path(str(path).rpartition("@")[0] or path)
    return path.exists() or bare.exists()


def base_of(snapshot: Snapshot, root: str) -> Base:
    """The snapshot as a file system sees it that has it at `root`."""

    def base(path: str) -> Node | None:
        if path != root and not path.startswith(root.rstrip("/") + "/"):
            return None
        inner = posixpath.relpath(path, root)
        return _node(snapshot, "" if inner == "." else inner)

    return base


def _node(snapshot: Snapshot, path: str) -> Node | None:
    entry = snapshot.entry(path)
    if entry is None:
        return Kind.ABSENT if snapshot.absent(path) else None
    if entry.is_directory:
        names = snapshot.names(path)
        return Directory() if names is None else _directory(names)
    try:
        data = snapshot.read(path)
        return File.of(data.decode("utf-8")) if data is not None else File()
    except (TooLarge, UnicodeDecodeError):
        return File()


def _kind(entry: Entry) -> Kind:
    if entry.is_directory:
        return Kind.DIRECTORY
    return Kind.EXISTS if entry.size is None else Kind.FILE


def _directory(entries: Sequence[Entry]) -> Directory:
    kinds = {entry.name: _kind(entry) for entry in entries}
    return Directory(
        {name: kind for name, kind in kinds.items() if not name.startswith(".")},
        {name: kind for name, kind in kinds.items() if name.startswith(".")},
    )
