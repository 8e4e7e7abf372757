"""Git hooks: programs of the project that run with a commit or a push, and may change anything."""

from __future__ import annotations

from simulators.snapshot import Snapshot

_SIGNS = (
    ".git/hooks",
    "hooksPath",
    "husky",
    "lint-staged",
    "lefthook",
    "simple-git-hooks",
    "overcommit",
    "pre-commit",  # "post-commit", say, is more often a word: as a hook it stands below .git/hooks
    # What they say when they run.
    "by this hook",
    "...Passed",
    "...Failed",
    "...Skipped",
)
_PLACES = (".husky", ".pre-commit-config.yaml", ".lintstagedrc", "lefthook.yml", ".lefthook.yml", ".overcommit.yml")
_SAMPLE = ".sample"
"""How the names of hooks end that git puts into every repository and never runs."""


def tells_of_hooks(text: str) -> bool:
    """Does a call, or its output, give a sign that there are hooks?"""
    return any(sign in text for sign in _SIGNS)


def has_hooks(snapshot: Snapshot) -> bool:
    """Do hooks, or the files of those who install them, stand in a snapshot?"""
    hooks = [entry.name for entry in snapshot.names(".git/hooks") or () if not entry.name.endswith(_SAMPLE)]
    return bool(hooks) or any(snapshot.entry(place) is not None for place in _PLACES)
