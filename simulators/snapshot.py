"""A real snapshot of the workspace an agent worked in, given by the user: read, never changed, never executed."""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from resample.types import UserError
from simulators.snapshot_archive import Archive
from simulators.snapshot_directory import Directory
from simulators.snapshot_tree import LIMIT, Entry, Snapshot, TooLarge

__all__ = ["LIMIT", "Entry", "Snapshot", "TooLarge", "open_snapshot"]

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_FORMS = "give a directory, an archive, PATH@COMMIT of a git repository, or {path, commit, root, strip}"


class _Spec(NamedTuple):
    """What the user said."""

    path: str
    commit: str | None = None
    root: str | None = None
    strip: int = 0


def open_snapshot(spec: object) -> Snapshot:
    """Open what a user named: a directory, an archive (zip, or tar packed by gzip, bzip2, xz or zstd), or a commit.

    `spec` is a path, or PATH@COMMIT, or an object with `path` and perhaps `commit` (a hash, also a short one, a
    branch or a tag), `root` (where the snapshot stood), and `strip` (how many leading names to take off an archive's
    members). Raises UserError.
    """
    if isinstance(spec, str) and spec:
        given = _from_text(spec)
    elif isinstance(spec, Mapping):
        given = _from_mapping(spec)
    else:
        raise UserError(f"workspace: {spec!r:.80} names no place: {_FORMS}")
    path = _expanded(given.path)
    mode = _mode(path)
    if mode is None:
        raise UserError(f"workspace {path}: nothing there: {_FORMS}")
    if stat.S_ISDIR(mode):
        return _open_directory(path, given)
    if not stat.S_ISREG(mode):
        raise UserError(f"workspace {path}: neither a directory nor a file: {_FORMS}")
    if given.commit is not None:
        raise UserError(f"workspace {path}: a file has no commit {given.commit}: {_FORMS}")
    return Archive(path, given.root, given.strip)


def _open_directory(path: Path, given: _Spec) -> Snapshot:
    if given.strip:
        raise UserError(f"workspace {path}: strip is for archives: name the directory inside it instead")
    # Reading git takes dulwich, which only those load who need it.
    from simulators.snapshot_git import Commit, is_repository

    if given.commit is not None:
        return Commit(path, given.commit, given.root)
    if is_repository(path):
        raise UserError(f"workspace {path}: a git repository without files: say which commit, as in {path}@HEAD")
    try:
        next(path.iterdir(), None)
    except OSError as error:
        raise UserError(f"workspace {path}: cannot be read: {error.strerror}") from None
    return Directory(path, given.root)


def _from_text(text: str) -> _Spec:
    """A path, or as long a path as there is before an `@`: both paths and branches may hold some."""
    if _mode(_expanded(text)) is None:
        for at in reversed([match.start() for match in re.finditer("@", text)]):
            if at and text[at + 1 :] and _mode(_expanded(text[:at])) is not None:
                return _Spec(text[:at], text[at + 1 :])
    return _Spec(text)


def _from_mapping(spec: Mapping[object, object]) -> _Spec:
    unknown = sorted(str(key) for key in spec if key not in _Spec._fields)
    if unknown:
        raise UserError(f"workspace: unknown key {', '.join(unknown)}: known are {', '.join(_Spec._fields)}")
    path, strip = spec.get("path"), spec.get("strip")
    if not isinstance(path, str) or not path:
        raise UserError(f"workspace: path={path!r} is no path: {_FORMS}")
    if strip is not None and (not isinstance(strip, int) or isinstance(strip, bool) or strip < 0):
        raise UserError(f"workspace {path}: strip={strip!r}: give a number of leading names, 0 or more")
    root = _text(spec, "root", path)
    if root is not None and not (root.startswith("/") or _DRIVE.match(root)):
        raise UserError(f"workspace {path}: root={root!r}: give the absolute path where the snapshot stood")
    if root is not None and root.startswith("/"):
        root = "/" + posixpath.normpath(root).lstrip("/")
    return _Spec(path, _text(spec, "commit", path), root, strip or 0)


def _text(spec: Mapping[object, object], key: str, path: str) -> str | None:
    value = spec.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise UserError(f"workspace {path}: {key}={value!r}: give a text that is not empty, or leave it out")
    return value


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)  # a home that nobody knows


def _mode(path: Path) -> int | None:
    """What kind of thing is at `path`; None if there is nothing, or nothing that may be looked at."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None
