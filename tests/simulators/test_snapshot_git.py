"""A commit is read from the objects of its repository alone."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest
from dulwich.object_store import tree_lookup_path
from dulwich.objects import Blob, Commit, Tag, Tree
from dulwich.pack import PackData, write_pack_objects
from dulwich.repo import Repo
from snapshot_places import commit_of, directory, file, pack_all, repository, tree_of, unknown

from resample.types import UserError
from simulators.snapshot import TooLarge, open_snapshot


def test_a_commit_is_found_by_all_its_names(tmp_path: Path) -> None:
    git = repository(tmp_path, {"f": (0o100644, b"first")})
    with Repo(str(git.path)) as repo:
        old = git.commit
        new = commit_of(repo, tree_of(repo, {"f": (0o100644, b"second")}), old.encode()).decode()
        tag = Tag()
        tag.name, tag.object, tag.message = b"v1", (Commit, old.encode()), b"t"
        tag.tagger, tag.tag_time, tag.tag_timezone = b"a <a@example.org>", 1, 0
        repo.object_store.add_object(tag)
        repo.refs[b"refs/tags/v1"] = tag.id
        repo.refs[b"refs/heads/user@topic"] = new.encode()
        repo.refs[b"refs/heads/main"] = new.encode()
        repo.refs[b"refs/remotes/origin/dev"] = new.encode()
        repo.refs.set_symbolic_ref(b"HEAD", b"refs/heads/main")
    firsts = [old, old[:7], "v1", "refs/tags/v1", tag.id.decode(), tag.id.decode()[:10]]
    seconds = [new, new[:8].upper(), "HEAD", "main", "heads/main", "user@topic", "origin/dev"]
    for packed in (False, True):
        for name in firsts + seconds:
            with open_snapshot(f"{git.path}@{name}") as snapshot:
                assert snapshot.read("f") == (b"first" if name in firsts else b"second"), (name, packed)
        if not packed:
            pack_all(git.path)
            with Repo(str(git.path)) as repo:
                repo.refs.pack_refs(all=True)  # type: ignore[attr-defined]
            assert not (git.path / "refs" / "heads" / "main").exists()


@pytest.mark.parametrize(
    "wanted", ["0" * 40, "nobranch", "dead", "config", "../r.git/HEAD", "objects", "refs/heads", "x y"]
)
def test_a_commit_that_is_not_there_is_named(tmp_path: Path, wanted: str) -> None:
    git = repository(tmp_path, {"f": (0o100644, b"")})
    with pytest.raises(UserError, match="has no such commit") as error:
        open_snapshot({"path": str(git.path), "commit": wanted})
    assert f"{git.path}@{wanted}" in str(error.value)


def test_a_tree_or_a_file_is_no_commit(tmp_path: Path) -> None:
    git = repository(tmp_path, {"f": (0o100644, b"")})
    with Repo(str(git.path)) as repo:
        tree = repo[git.commit.encode()].tree  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="no such commit"):
        open_snapshot(f"{git.path}@{tree.decode()}")


def test_several_commits_of_one_short_hash_are_told(tmp_path: Path) -> None:
    git = repository(tmp_path, {"f": (0o100644, b"")})
    with Repo(str(git.path)) as repo:
        tree = repo[git.commit.encode()].tree  # type: ignore[attr-defined]
        seen: dict[bytes, bytes] = {}
        for number in range(3000):
            commit = commit_of(repo, tree, message=b"%d" % number)
            if other := seen.get(commit[:4]):
                break
            seen[commit[:4]] = commit
    assert other is not None
    with pytest.raises(UserError, match="several commits start so") as error:
        open_snapshot(f"{git.path}@{commit[:4].decode()}")
    assert commit.decode() in str(error.value)
    assert other.decode() in str(error.value)


@pytest.mark.parametrize("packed", [False, True])
def test_a_submodule_is_a_directory_nobody_knows_more_of(tmp_path: Path, packed: bool) -> None:
    git = repository(tmp_path, {"sub": (0o160000, b"1" * 40), "f": (0o100644, b"1")})
    if packed:
        pack_all(git.path)
    with open_snapshot(f"{git.path}@main") as snapshot:
        assert snapshot.entry("sub") == directory("sub")
        assert snapshot.names("") == [file("f", 1), directory("sub")]
        assert (snapshot.names("sub"), snapshot.entry("sub/x"), snapshot.read("sub/x")) == (None, None, None)
        assert not snapshot.absent("sub/x")


def test_names_that_a_file_cannot_have_are_not_listed(tmp_path: Path) -> None:
    git = repository(tmp_path, {"f": (0o100644, b"1")})
    with Repo(str(git.path)) as repo:
        blob = Blob.from_string(b"evil")
        tree = Tree()
        for name in (b"..", b".", b"a/b", b"good"):
            tree.add(name, 0o100644, blob.id)
        repo.object_store.add_object(blob)
        repo.object_store.add_object(tree)
        commit = commit_of(repo, tree.id)
    with open_snapshot(f"{git.path}@{commit.decode()}") as snapshot:
        assert snapshot.names("") == [file("good", 4)]


def pack_as_differences(path: Path) -> Path:
    """Pack all objects, those that resemble another as the difference to it."""
    loose = list((path / "objects").glob("??/*"))
    pack = path / "objects" / "pack" / "pack-x.pack"
    with Repo(str(path)) as repo:
        objects = [(repo.object_store[name], None) for name in repo.object_store]
        with pack.open("wb") as target:
            write_pack_objects(target, objects, deltify=True, object_format=repo.object_format)
        with PackData(pack, repo.object_format) as data:
            data.create_index(str(pack.with_suffix(".idx")))
    for name in loose:
        name.unlink()
    return pack


def test_differences_are_put_together_and_measured(tmp_path: Path) -> None:
    base = bytes(i * i % 251 for i in range(20_000))
    files = {f"v{i}": (0o100644, base + b"x" * i) for i in range(10)}
    git = repository(tmp_path, files)
    pack = pack_as_differences(git.path)
    assert pack.stat().st_size < 30_000  # so there are differences
    with open_snapshot(f"{git.path}@{git.commit}") as snapshot:
        assert snapshot.names("") == [file(f"v{i}", 20_000 + i) for i in range(10)]
        for i in range(10):
            assert snapshot.read(f"v{i}") == base + b"x" * i
            with pytest.raises(TooLarge):
                snapshot.read(f"v{i}", limit=19_999)


def test_a_difference_whose_code_table_comes_first_is_measured(tmp_path: Path) -> None:
    """Many kinds of new bytes, each often: zlib describes its codes at length before it gives any byte."""
    base = bytes(i * i % 251 for i in range(20_000))
    new = bytes(random.Random(1).choices(range(256), weights=range(1, 257), k=3000))
    git = repository(tmp_path, {"a": (0o100644, base + bytes(9000)), "b": (0o100644, base + new)})
    pack_as_differences(git.path)
    with open_snapshot(f"{git.path}@main") as snapshot:
        assert snapshot.names("") == [file("a", 29_000), file("b", 23_000)]
        assert snapshot.read("b") == base + new


def test_a_loose_object_that_lies_of_its_length_is_not_read(tmp_path: Path) -> None:
    git = repository(tmp_path, {"f": (0o100644, b"12345")})
    with Repo(str(git.path)) as repo:
        tree = repo[git.commit.encode()].tree  # type: ignore[attr-defined]
        _, blob = tree_lookup_path(repo.object_store.__getitem__, tree, b"f")
    path = git.path / "objects" / blob[:2].decode() / blob[2:].decode()
    for content, told in [
        (zlib.compress(b"blob 5\0" + b"0" * 50_000_000), file("f", 5)),
        (zlib.compress(b"blob 500\0abc"), file("f", 500)),
        (zlib.compress(b"blob 5"), None),
        (b"nonsense", None),
        (b"", None),
    ]:
        path.chmod(0o644)
        path.write_bytes(content)
        with open_snapshot(f"{git.path}@main") as snapshot:
            assert (snapshot.entry("f"), snapshot.read("f")) == (told, None)
            assert not snapshot.absent("f")
    path.unlink()
    with open_snapshot(f"{git.path}@main") as snapshot:
        assert snapshot.names("") == [unknown("f")]
        assert not snapshot.absent("f")


def test_a_repository_with_a_work_tree_is_a_directory_or_a_commit(tmp_path: Path) -> None:
    with Repo.init(str(tmp_path)) as repo:
        commit = commit_of(repo, tree_of(repo, {"f": (0o100644, b"committed")}))
    (tmp_path / "f").write_bytes(b"changed")
    assert open_snapshot(str(tmp_path)).read("f") == b"changed"
    with open_snapshot(f"{tmp_path}@{commit.decode()[:10]}") as snapshot:
        assert snapshot.read("f") == b"committed"
        assert snapshot.absent(".git")


def test_objects_of_other_repositories_are_not_read(tmp_path: Path) -> None:
    git = repository(tmp_path, {"f": (0o100644, b"1")})
    borrower = tmp_path / "borrower.git"
    borrower.mkdir()
    with Repo.init_bare(str(borrower)) as repo:
        repo.object_store.add_alternate_path(str(git.path / "objects"))
    with pytest.raises(UserError, match=r"borrows objects .* `git repack -a`"):
        open_snapshot(f"{borrower}@{git.commit}")
