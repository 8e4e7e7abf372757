"""A commit of a git repository as a snapshot: its tree, as it was committed.

Only objects and references are read, from the repository's own directory: no work tree, no hook, no filter, no
command, and no other repository that this one refers to.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from dulwich.errors import FileFormatException
from dulwich.objects import parse_tree

from resample.types import UserError
from simulators.snapshot_directory import Directory
from simulators.snapshot_objects import COMMIT, DAMAGED, TAG, TREE, Objects
from simulators.snapshot_tree import Node, Opaque, Snapshot, TooLarge, What, is_name

_PLACES = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")
"""Where git looks for a short name, in this order."""
_FULL = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHORT = re.compile(r"[0-9a-fA-F]{4,64}")
_POINTS = re.compile(rb"^(?:tree|object) ([0-9a-f]{40}(?:[0-9a-f]{24})?)$", re.MULTILINE)
_STEPS = 10
"""References to references, and tags of tags."""
_REFERENCE = 4096
_PACKED_REFERENCES = 256 << 20
_TREE_LIMIT = 64 << 20
_TARGET = 4096
_TREES = 1024
"""Trees that are kept, read."""


class Commit(Snapshot):
    """The files of a commit."""

    def __init__(self, path: Path, commit: str, root: str | None = None) -> None:
        """`commit`: a hash, also a short one, or a branch or tag."""
        super().__init__(root)
        control = Directory(control_of(path))
        with ExitStack() as held:
            objects = held.enter_context(closing(Objects(control)))
            tree = _Search(path, control, objects).tree(commit)
            trees = _Trees(objects)
            if not trees.has(tree):
                raise UserError(f"workspace {path}@{commit}: its files are not in the repository{_elsewhere(control)}")
            self._top = _Object(trees, stat.S_IFDIR, tree)
            self._held.enter_context(held.pop_all())

    def top(self, held: ExitStack) -> Node:
        return self._top


def is_repository(path: Path) -> bool:
    """Is this a git directory itself: a bare repository, or the `.git` of another?"""
    return (path / "objects").is_dir() and (path / "refs").is_dir() and (path / "HEAD").is_file()


def control_of(path: Path) -> Path:
    """The git directory of the repository at `path`. Raises UserError if there is none."""
    inner = path / ".git"
    if inner.is_symlink() or inner.is_file():
        raise UserError(f"workspace {path}: its .git only points to a repository elsewhere: give that one's path")
    for control in (inner, path):
        if is_repository(control):
            return control
    raise UserError(
        f"workspace {path}: no git repository, so it has no commits: leave the commit out, or mend the path"
    )


def _elsewhere(control: Directory) -> str:
    if control.entry("objects/info/alternates") is not None:
        return " (it borrows objects from another repository, which is not read: `git repack -a` makes it whole)"
    return ""


class _Search:
    """Finds the commit that was asked for."""

    def __init__(self, path: Path, control: Directory, objects: Objects) -> None:
        self._path = path
        self._control = control
        self._objects = objects
        self._packed = self._packed_references()

    def tree(self, wanted: str) -> str:
        """The name of a commit's tree. Raises UserError if there is no such commit, or several."""
        name = wanted if _FULL.fullmatch(wanted) else self._reference(wanted) or self._completed(wanted)
        for _ in range(_STEPS if name else 0):
            try:
                kind, content = self._objects.read(str(name), _TREE_LIMIT)
            except (Opaque, TooLarge):
                break
            pointed = _POINTS.match(content)
            if kind not in (COMMIT, TAG) or pointed is None:
                break
            name = pointed[1].decode()
            if kind == COMMIT:
                return name
        raise UserError(
            f"workspace {self._path}@{wanted}: the repository has no such commit{_elsewhere(self._control)}: "
            "give a hash, a branch or a tag that it has, or fetch it"
        )

    def _reference(self, short: str) -> str | None:
        found = (self._hash(place.format(short)) for place in _PLACES)
        return next((name for name in found if name), None)

    def _hash(self, reference: str) -> str | None:
        for _ in range(_STEPS):
            try:
                content = self._control.read(reference, _REFERENCE)
            except TooLarge:
                return None
            text = (
                content.decode("utf-8", "replace").strip() if content is not None else self._packed.get(reference, "")
            )
            if not text.startswith("ref:"):
                return text if _FULL.fullmatch(text) else None
            reference = text.removeprefix("ref:").strip()
        return None

    def _completed(self, short: str) -> str | None:
        """The one commit, or tag of one, whose hash starts so."""
        if not _SHORT.fullmatch(short):
            return None
        found = [name for name in sorted(self._objects.starting(short.lower())) if self._leads_to_commit(name)]
        if len(found) > 1:
            raise UserError(f"workspace {self._path}@{short}: several commits start so: {', '.join(found)}")
        return found[0] if found else None

    def _leads_to_commit(self, name: str) -> bool:
        try:
            return self._objects.read(name, _TREE_LIMIT)[0] in (COMMIT, TAG)
        except (Opaque, TooLarge):
            return False

    def _packed_references(self) -> dict[str, str]:
        try:
            content = self._control.read("packed-refs", _PACKED_REFERENCES) or b""
        except TooLarge:
            return {}
        lines = (line.partition(" ") for line in content.decode("utf-8", "replace").splitlines())
        return {name: value for value, _, name in lines if _FULL.fullmatch(value)}


class _Item(NamedTuple):
    """A line of a tree."""

    mode: int
    object: str


class _Trees:
    """The trees of a repository, each read when it is asked for."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.items = lru_cache(_TREES)(self._items)

    def has(self, name: str) -> bool:
        try:
            self.items(name)
        except Opaque:
            return False
        return True

    def _items(self, name: str) -> dict[str, _Item]:
        try:
            kind, content = self.objects.read(name, _TREE_LIMIT)
            if kind != TREE:
                raise Opaque
            return dict(_parsed(content, self.objects.format.oid_length))
        except (TooLarge, FileFormatException, *DAMAGED):
            raise Opaque from None


def _parsed(content: bytes, length: int) -> Iterator[tuple[str, _Item]]:
    for raw, mode, name in parse_tree(content, length):
        text = raw.decode("utf-8", "surrogateescape")
        if is_name(text):
            yield text, _Item(mode, name.decode("ascii"))


class _Object(Node):
    """A tree, a blob, or another repository's commit."""

    def __init__(self, trees: _Trees, mode: int, name: str) -> None:
        self._trees = trees
        self._name = name
        self._foreign = stat.S_IFMT(mode) == _GITLINK
        self.what = What.DIRECTORY if self._foreign else _SORTS.get(stat.S_IFMT(mode), What.OTHER)
        self.executable = self.what is What.DIRECTORY or bool(mode & 0o111)

    def size(self) -> int:
        return self._trees.objects.size(self._name)

    def target(self) -> str:
        try:
            return self.read(_TARGET).decode("utf-8", "surrogateescape")
        except TooLarge:
            raise Opaque from None

    def child(self, name: str) -> Node | None:
        item = self._items().get(name)
        return None if item is None else _Object(self._trees, item.mode, item.object)

    def names(self) -> list[str]:
        return list(self._items())

    def read(self, limit: int) -> bytes:
        return self._trees.objects.read(self._name, limit)[1]

    def _items(self) -> dict[str, _Item]:
        if self._foreign:
            raise Opaque
        return self._trees.items(self._name)


_GITLINK = 0o160000
_SORTS = {stat.S_IFDIR: What.DIRECTORY, stat.S_IFREG: What.FILE, stat.S_IFLNK: What.LINK}
