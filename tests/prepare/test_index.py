"""Transcripts are indexed, read again by seek, and noticed when they change."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, canonical
from resample.prepare.index import Indexed, Wanted, index, load, open_prefix
from resample.prepare.policies import Truncate, policy
from resample.types import Transcript, UserError

LAST_TURN = policy(Truncate())


def chat(number: int) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": f"question {number}"},
        {"role": "assistant", "content": f"answer {number}"},
        {"role": "user", "content": f"and then {number}"},
        {"role": "assistant", "content": f"then that {number}"},
    ]


def transcript(number: int, **metadata: Any) -> Transcript:
    return Transcript(f"t{number}", chat(number), metadata=metadata)


def run(path: Path | str, work_dir: Path, **changes: Any) -> list[Indexed | Excluded]:
    return list(index(Wanted(path, **{"policy": LAST_TURN, **changes}), work_dir))


def used(items: list[Indexed | Excluded]) -> list[Indexed]:
    return [item for item in items if isinstance(item, Indexed)]


def reasons(items: list[Indexed | Excluded]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Excluded)]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.jsonl"
    canonical.write(path, [transcript(1, weight=2, stratum="s", cluster="c"), transcript(2)])
    return path


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    folder = tmp_path / "foreign"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.json").write_bytes(orjson.dumps(chat(number)))
    return folder


def test_a_canonical_file_is_indexed_where_it_lies(own: Path, tmp_path: Path) -> None:
    one, two = used(run(own, tmp_path / "run"))
    assert (one.transcript, one.cluster, one.stratum, one.weight) == ("t1", "c", "s", 2.0)
    assert (two.transcript, two.cluster, two.stratum, two.weight) == ("t2", "t2", "", 1.0)
    assert (one.cut, one.cut_end, one.messages, one.prior_turns, one.tools_inferred) == (3, 4, 4, 1, False)
    assert Path(one.file) == own
    assert load(two) == transcript(2)
    prefix, original = open_prefix(two)
    assert (prefix.id, prefix.transcript) == (two.prefix, "t2")
    assert original == tuple(chat(2)[3:])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_cannot_be_read_by_seek_is_written_down_first(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"own.jsonl{suffix}"
    canonical.write(path, [transcript(1), transcript(2)])
    entries = used(run(path, tmp_path / "run"))
    written = tmp_path / "run" / "transcripts.jsonl"
    assert {entry.file for entry in entries} == {str(written)}
    assert written.stat().st_mode & 0o777 == 0o600
    assert [load(entry) for entry in entries] == [transcript(1), transcript(2)]


def test_foreign_logs_are_written_once_and_extended(foreign: Path, tmp_path: Path) -> None:
    written = tmp_path / "run" / "transcripts.jsonl"
    few = used(run(foreign, tmp_path / "run", limit=2))
    first = written.read_bytes()
    assert used(run(foreign, tmp_path / "run", limit=2)) == few
    assert written.read_bytes() == first
    more = used(run(foreign, tmp_path / "run"))
    assert more[:2] == few
    assert len(more) == 4
    assert written.read_bytes().startswith(first)
    everything = written.read_bytes()
    assert used(run(foreign, tmp_path / "run", limit=1)) == few[:1]
    assert written.read_bytes() == everything
    written.write_bytes(everything[:-30])  # as a crash would leave it
    assert used(run(foreign, tmp_path / "run")) == more
    assert written.read_bytes() == everything
    assert [load(entry).messages for entry in more] == [chat(number) for number in range(4)]
    assert [entry.transcript for entry in more] == ["0.json", "1.json", "2.json", "3.json"]


def test_another_place_gives_the_same_hashes(foreign: Path, tmp_path: Path) -> None:
    here = used(run(foreign, tmp_path / "run"))
    moved = foreign.rename(tmp_path / "moved")
    there = used(run(moved, tmp_path / "other"))
    assert [(e.prefix, e.sha256) for e in here] == [(e.prefix, e.sha256) for e in there]


def test_foreign_logs_that_changed_are_noticed_and_nothing_is_overwritten(foreign: Path, tmp_path: Path) -> None:
    run(foreign, tmp_path / "run")
    written = tmp_path / "run" / "transcripts.jsonl"
    before = written.read_bytes()
    (foreign / "1.json").write_bytes(orjson.dumps(chat(9)))
    with pytest.raises(UserError, match=r"1\.json:1: has changed since the run began"):
        run(foreign, tmp_path / "run")
    assert written.read_bytes() == before


@pytest.mark.parametrize("damage", ["edit", "cut", "remove"])
def test_a_changed_file_is_noticed(own: Path, tmp_path: Path, damage: str) -> None:
    one, two = used(run(own, tmp_path / "run"))
    data = own.read_bytes()
    if damage == "edit":
        own.write_bytes(data.replace(b"answer 2", b"answer 7"))
    elif damage == "cut":
        own.write_bytes(data[: two.offset + 10])
    else:
        own.unlink()
    with pytest.raises(UserError, match=rf"{own.name}: (has changed since the run began|cannot be read any more)"):
        load(two)
    if damage == "edit":
        assert load(one) == transcript(1, weight=2, stratum="s", cluster="c")


def test_limit_counts_what_can_be_used_and_reading_stops_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    silent = Transcript("silent", [{"role": "user", "content": "anyone?"}])
    canonical.write(path, [silent, transcript(1), silent, transcript(2), silent, transcript(3)])
    for limit, count, excluded in ((1, 1, 1), (2, 2, 2), (3, 3, 3), (9, 3, 3), (None, 3, 3)):
        items = run(path, tmp_path / "run", limit=limit)
        assert (len(used(items)), len(reasons(items))) == (count, excluded)


def test_what_cannot_be_cut_is_excluded_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    call = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
    acting = {"role": "assistant", "content": None, "tool_calls": [call]}
    user, hi = chat(0)[:2]
    canonical.write(
        path,
        [
            Transcript("a", [user]),
            Transcript("b", [hi, user]),
            Transcript("c", [user, acting, user, hi]),
            Transcript("d", chat(0), metadata={"actions": "text:fenced"}),
            Transcript("e", chat(0)),
        ],
    )
    items = run(path, tmp_path / "run")
    assert [(e.line, e.reason) for e in items if isinstance(e, Excluded)] == [
        (1, "no assistant message"),
        (2, "nothing before the cut"),
        (3, "unanswered tool call before the cut"),
        (4, "unknown action parser"),
    ]
    assert "'c'" in items[2].detail  # type: ignore[union-attr]
    assert [entry.transcript for entry in used(items)] == ["e"]


def test_strict_stops_at_what_is_malformed(own: Path, tmp_path: Path) -> None:
    with own.open("ab") as file:
        file.write(b"{oops\n")
    assert reasons(run(own, tmp_path / "run")) == ["malformed JSON"]
    with pytest.raises(UserError, match=r"own\.jsonl:3: malformed JSON"):
        run(own, tmp_path / "run", strict=True)


def test_the_run_directory_is_not_read_as_input(own: Path, foreign: Path, tmp_path: Path) -> None:
    work_dir = tmp_path / "runs" / "one"
    before = run(tmp_path, work_dir)
    assert len(used(before)) == 6
    assert run(tmp_path, work_dir) == before


def test_links_and_relative_paths(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link.jsonl").symlink_to(own)
    monkeypatch.chdir(tmp_path)
    entries = used(run("link.jsonl", Path("run")))
    assert [entry.file for entry in entries] == [str(tmp_path / "link.jsonl")] * 2
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load(entries[1]) == transcript(2)


def test_a_run_directory_that_cannot_be_written(foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(UserError, match=r"run/transcripts\.jsonl: cannot be written"):
        run(foreign, tmp_path / "run")


@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_memory_does_not_grow_with_the_collection(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large.jsonl{suffix}"
    draw = random.Random(0)
    filler = [{"role": role, "content": draw.randbytes(12_500).hex()} for role in ("user", "assistant")]
    canonical.write(path, (Transcript(f"t{i}", [*filler, *chat(i)]) for i in range(1000)))
    tracemalloc.start()
    try:
        items = index(Wanted(path, LAST_TURN), tmp_path / "run")
        count = sum(isinstance(item, Indexed) for item in items)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 1000
    assert (tmp_path / "run" / "transcripts.jsonl" if suffix else path).stat().st_size > 50e6
    assert peak < 8e6


def test_real_logs(real_transcripts: Path, tmp_path: Path) -> None:
    for name in ("last_turn", "last_action"):
        items = run(real_transcripts / "openai-chat-completions", tmp_path / name, policy=policy(Truncate(name)))
        assert len(used(items)) == 9
        for entry in used(items):
            prefix, original = open_prefix(entry)
            assert prefix.id == entry.prefix
            assert original[0]["role"] == "assistant"
            assert (len(prefix.tools.items) == 3) == ("litellm_proxy" in entry.transcript) or entry.tools_inferred
