"""A snapshot tells what is in a directory, an archive or a commit, and nothing of what is outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from snapshot_places import FILES, LATIN1, LINKS, MAKERS, directory, file, make_directory, repository, unknown

from resample.types import SimulatorError, UserError
from simulators.hooks import has_hooks
from simulators.snapshot import Entry, Snapshot, TooLarge, open_snapshot

LEADING_NOWHERE = {
    *("absolute", "out", "out_and_back", "deep_out", "loop", "pool", "gone", "through", "slash"),
    *("hop0", "hop1"),  # 42 and 41 links
}


@pytest.fixture(params=MAKERS)
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Snapshot]:
    with open_snapshot(MAKERS[request.param](tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("", directory("")),
        ("README", file("README", 6)),
        ("bin/run", file("run", 3, executable=True)),
        ("src/inner/b", file("b", 0)),
        ("src/inner", directory("inner")),
        (LATIN1, file(LATIN1, 1)),
        ("link", file("link", 6, link=True)),
        ("dots", file("dots", 6, link=True)),
        ("nested", directory("nested", link=True)),
        ("nested/b", file("b", 0)),
        ("src/up", file("up", 6, link=True)),
        ("chain0", file("chain0", 6, link=True)),
        ("hop2", file("hop2", 6, link=True)),
    ],
)
def test_it_tells_what_stands_at_a_path(snapshot: Snapshot, path: str, entry: Entry) -> None:
    assert snapshot.entry(path) == entry
    assert not snapshot.absent(path)
    if not entry.is_directory:
        content = snapshot.read(path)
        assert content is not None
        assert len(content) == entry.size
        assert snapshot.names(path) is None
    else:
        assert snapshot.read(path) is None


@pytest.mark.parametrize("path", ["nothing", "README/x", "gone", "through", "slash", "src/inner/c", "link/x", "readme"])
def test_what_is_not_there_is_surely_absent(snapshot: Snapshot, path: str) -> None:
    assert (snapshot.entry(path), snapshot.names(path), snapshot.read(path)) == (None, None, None)
    assert snapshot.absent(path)


@pytest.mark.parametrize(
    "path",
    [
        *("absolute", "out", "out_and_back", "deep_out", "out/x", "loop", "pool", "hop0", "hop1"),
        *(
            "..",
            "../outside",
            "src/../README",
            "/README",
            "/",
            "/etc/passwd",
            "a\0b",
            "src\\a.py",
            "\ud800",
            "x/" * 3000,
        ),
        *("../../../../etc/passwd", "absolute/../README"),
    ],
)
def test_of_what_leads_out_nothing_is_known(snapshot: Snapshot, path: str) -> None:
    assert (snapshot.entry(path), snapshot.names(path), snapshot.read(path)) == (None, None, None)
    if not path.startswith("x/"):
        assert not snapshot.absent(path)


def test_a_name_too_long_for_a_file_system_raises_nothing(snapshot: Snapshot) -> None:
    assert (snapshot.entry("x" * 300), snapshot.read("x" * 300)) == (None, None)


def test_a_directory_lists_all_its_names_in_order(snapshot: Snapshot) -> None:
    assert snapshot.names("src") == [
        file("a.py", 6),
        directory("inner"),
        file("up", 6, link=True),
    ]
    assert snapshot.names("nested") == [file("b", 0)]
    top = snapshot.names("")
    assert top is not None
    listed = {name.partition("/")[0] for name in {**FILES, **LINKS}}
    assert [entry.name for entry in top] == sorted(listed)
    known = {entry.name: entry for entry in top if entry != unknown(entry.name, link=True)}
    assert listed - set(known) == LEADING_NOWHERE
    assert all(snapshot.entry(name) == entry for name, entry in known.items())
    assert all(snapshot.entry(name) is None for name in listed - set(known))


def test_what_is_longer_than_the_limit_is_not_read(snapshot: Snapshot) -> None:
    assert snapshot.read("README", limit=6) == b"hello\n"
    for path in ("README", "link"):
        with pytest.raises(TooLarge, match="longer than 5 bytes"):
            snapshot.read(path, limit=5)


def test_the_root_is_what_the_user_said(tmp_path: Path) -> None:
    work = make_directory(tmp_path)
    for said, told in [(None, None), ("/app/", "/app"), ("//a/./b", "/a/b"), ("C:\\w", "C:\\w")]:
        assert open_snapshot({"path": work, "root": said}).root == told
    assert open_snapshot(work).root is None


def test_special_files_are_never_opened_and_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe").symlink_to("pipe")
    snapshot = open_snapshot(str(tmp_path))
    assert snapshot.names("") == [unknown("pipe"), unknown("to_pipe", link=True)]
    assert (snapshot.entry("pipe"), snapshot.read("pipe"), snapshot.read("to_pipe")) == (None, None, None)
    assert not snapshot.absent("pipe")


def test_a_directory_that_vanished_is_no_empty_one(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    snapshot = open_snapshot(str(work))
    work.rmdir()
    with pytest.raises(SimulatorError, match="cannot be read any more"):
        snapshot.entry("x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
def test_what_may_not_be_read_is_not_absent(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "shut").write_text("x")
    (tmp_path / "shut").chmod(0)
    snapshot = open_snapshot(str(tmp_path))
    assert snapshot.entry("shut") == file("shut", 1)
    assert (snapshot.read("shut"), snapshot.names("closed"), snapshot.entry("closed/x")) == (None, None, None)
    assert not snapshot.absent("closed/x")


def test_a_directory_whose_place_a_link_takes_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("secret")
    (tmp_path / "work" / "d").mkdir(parents=True)
    (tmp_path / "work" / "d" / "f").write_text("mine")
    snapshot = open_snapshot(str(tmp_path / "work"))
    assert snapshot.read("d/f") == b"mine"
    really = os.stat

    def swap(name: object, **more: object) -> os.stat_result:
        facts = really(name, **more)  # type: ignore[call-overload]
        if name == "d":
            (tmp_path / "work" / "d").rename(tmp_path / "work" / "e")
            (tmp_path / "work" / "d").symlink_to(tmp_path / "outside")
        return facts

    monkeypatch.setattr(os, "stat", swap)
    assert snapshot.read("d/f") is None


def test_nothing_stays_open_between_questions(tmp_path: Path) -> None:
    snapshot = open_snapshot(make_directory(tmp_path))
    before = len(list(Path("/dev/fd").iterdir()))
    for path in ("src/inner/b", "nested/b", "out", "loop", "nothing/at/all"):
        snapshot.entry(path), snapshot.names(path), snapshot.read(path)
    assert len(list(Path("/dev/fd").iterdir())) == before


@pytest.mark.parametrize("kind", MAKERS)
def test_a_snapshot_that_is_forgotten_leaves_nothing_open(tmp_path: Path, kind: str) -> None:
    spec = MAKERS[kind](tmp_path)
    before = len(list(Path("/dev/fd").iterdir()))
    assert open_snapshot(spec).read("README") == b"hello\n"
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_links_are_followed_as_the_system_follows_them(tmp_path: Path) -> None:
    work = Path(str(make_directory(tmp_path)))
    snapshot = open_snapshot(str(work))
    leading_out = {"absolute", "out", "out_and_back", "deep_out"}
    for name in set(LINKS) - leading_out:
        assert (snapshot.entry(name) is not None) == (work / name).exists(), name


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (None, "None names no place"),
        (["x"], "names no place"),
        ("{tmp}/nothing", "{tmp}/nothing: nothing there"),
        ("{tmp}/nothing@main", "nothing there"),
        ("", "names no place"),
        ({}, "path=None is no path"),
        ({"path": "{tmp}/d", "comit": "x", "at": 1}, "unknown key at, comit: known are path, commit, root, strip"),
        ({"path": "{tmp}/d", "commit": ""}, "commit=''"),
        ({"path": "{tmp}/d", "commit": 7}, "commit=7"),
        ({"path": "{tmp}/d", "root": "relative"}, "root='relative'"),
        ({"path": "{tmp}/d", "strip": 1}, "strip is for archives"),
        ({"path": "{tmp}/d", "strip": -1}, "strip=-1"),
        ({"path": "{tmp}/d", "strip": True}, "strip=True"),
        ("{tmp}/d@main", "{tmp}/d: no git repository"),
        ("{tmp}/f@main", "a file has no commit main"),
        ("{tmp}/pipe", "neither a directory nor a file"),
        ("{tmp}/worktree@main", "only points to a repository elsewhere"),
        ("{tmp}/r.git", "a git repository without files: say which commit"),
        ("{tmp}/a\0b", "nothing there"),
    ],
)
def test_a_spec_that_is_no_snapshot_is_refused(tmp_path: Path, spec: object, says: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "worktree").mkdir()
    (tmp_path / "worktree" / ".git").write_text("gitdir: /elsewhere")
    repository(tmp_path, {})

    def filled(value: object) -> object:
        return value.replace("{tmp}", str(tmp_path)) if isinstance(value, str) else value

    if isinstance(spec, dict):
        spec = {key: filled(value) for key, value in spec.items()}
    with pytest.raises(UserError, match=str(filled(says))):
        open_snapshot(filled(spec))


def test_paths_may_hold_an_at_sign_and_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a@b").mkdir()
    (tmp_path / "a@b" / "f").write_text("1")
    assert open_snapshot("~/a@b").read("f") == b"1"
    with pytest.raises(UserError, match="a@b: no git repository"):
        open_snapshot("~/a@b@main")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/a.py", False),
        (".git/hooks/pre-commit.sample", False),
        (".git/hooks/pre-commit", True),
        (".husky/pre-commit", True),
        (".pre-commit-config.yaml", True),
    ],
)
def test_it_tells_if_there_are_git_hooks(tmp_path: Path, path: str, expected: bool) -> None:
    place = tmp_path / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("x")
    with open_snapshot(str(tmp_path)) as opened:
        assert has_hooks(opened) is expected
