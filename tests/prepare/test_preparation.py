"""What holds for every policy on real transcripts, and for draws from a population whose totals are known."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.actions import begins_turn
from resample.formats import Excluded, Located, canonical, read
from resample.prepare.index import Indexed, Wanted, index, load, open_prefix
from resample.prepare.policies import POLICIES, Truncate, policy
from resample.prepare.prefix import style_of
from resample.prepare.select import Select
from resample.types import Message, Transcript

SETTINGS = {name: Truncate(name, at=0.5 if name == "step" else None) for name in POLICIES}
MARK = re.compile(rb"zq(\d+)x(\d+)q")


def marked(transcript: Transcript, number: int) -> Transcript:
    """Every message has a mark of its own: in its text, in the names and the values of its calls' arguments."""
    messages = [_marked(message, f"zq{number}x{place}q") for place, message in enumerate(transcript.messages)]
    draw = random.Random(number)
    labels = {"flagged": draw.sample(range(len(messages)), min(2, len(messages)))}
    return Transcript(transcript.id, messages, transcript.tools, {**transcript.metadata, "labels": labels})


def _marked(message: Message, mark: str) -> Message:
    message = dict(message)
    if isinstance(message.get("content"), str):
        message["content"] += f" {mark}"
    elif isinstance(message.get("content"), list):
        message["content"] = [*message["content"], {"type": "text", "text": mark}]
    calls = []
    for call in message.get("tool_calls") or ():
        if call["type"] == "function" and (given := _object(call["function"]["arguments"])) is not None:
            arguments = orjson.dumps({**given, mark: f"value of {mark}"}).decode()
            call = {**call, "function": {**call["function"], "arguments": arguments}}
        calls.append(call)
    return {**message, "tool_calls": calls} if calls else message


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


@pytest.fixture(scope="module")
def collection(real_transcripts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "marked.jsonl"
    found = (item.transcript for item in read(real_transcripts) if isinstance(item, Located))
    canonical.write(path, (marked(transcript, number) for number, transcript in enumerate(found)))
    return path


def prefixes(path: Path, work_dir: Path, name: str, **changes: Any) -> list[Indexed]:
    wanted = Wanted(path, policy(SETTINGS[name], seed=3), seed=3, **changes)
    return [entry for entry in index(wanted, work_dir) if isinstance(entry, Indexed)]


@pytest.mark.parametrize("name", list(POLICIES))
def test_nothing_of_the_original_turn_is_in_a_prefix(name: str, collection: Path, tmp_path: Path) -> None:
    entries = prefixes(collection, tmp_path / "run", name)
    assert entries == prefixes(collection, tmp_path / "run", name)  # the same seed, the same prefixes
    assert len({entry.prefix for entry in entries}) == len(entries) > 300
    clusters: dict[str, set[str]] = defaultdict(set)
    own: dict[str, str] = {}
    for entry in entries:
        transcript = load(entry)
        own[MARK.findall(orjson.dumps(transcript.messages))[0][0].decode()] = (
            transcript.metadata.get("cluster") or transcript.id
        )
        clusters[entry.transcript].add(entry.cluster)
    assert all(len(of_one) == 1 for of_one in clusters.values())
    for entry in random.Random(5).sample(entries, min(len(entries), 1500)):  # each is read again
        check(entry, own)


def check(entry: Indexed, clusters: dict[str, str]) -> None:
    transcript = load(entry)
    prefix, original = open_prefix(entry)
    assert prefix.id == entry.prefix
    number, _ = MARK.findall(orjson.dumps(transcript.messages))[0]
    # What a candidate and a judge are given of the conversation: messages and tools.
    for seen, place in MARK.findall(prefix.messages.wire):
        assert (seen, int(place) < entry.cut) == (number, True)
    for seen, place in MARK.findall(prefix.tools.wire):
        if seen == number:
            assert int(place) < entry.cut
        elif seen.decode() in clusters:
            assert clusters[seen.decode()] != clusters[number.decode()]
    assert b"value of zq" not in prefix.tools.wire
    assert all(int(place) >= entry.cut for _, place in MARK.findall(orjson.dumps(original)))
    # No call is cut from its output, on either side.
    calls = {call["id"] for message in prefix.messages.items for call in message.get("tool_calls") or ()}
    waiting = set(calls)
    for message in prefix.messages.items:
        waiting.discard(message.get("tool_call_id", ""))
    assert not waiting
    assert original[0]["role"] == "assistant"
    style = style_of(transcript)
    assert not any(begins_turn(style, transcript.messages, i) for i in range(entry.cut, entry.cut_end))
    if entry.cut_end < len(transcript.messages):
        assert transcript.messages[entry.cut_end]["role"] != "tool"


# -- a population whose totals are known ------------------------------------------------------------------------------


def population() -> Iterator[Transcript]:
    """Unequal strata, weights and numbers of turns; heavy transcripts have more bad turns."""
    draw = random.Random(7)
    for number in range(300):
        stratum = "abbccccc"[number % 8]
        weight = draw.choice([1, 2, 10])
        messages: list[Message] = []
        for turn in range(draw.randrange(1, 9)):
            bad = draw.random() < 0.1 + 0.05 * weight
            messages.append({"role": "user", "content": f"{draw.random()} question {turn} of {number}"})
            messages.append({"role": "assistant", "content": "bad" if bad else "good"})
        yield Transcript(f"t{number}", messages, metadata={"stratum": stratum, "weight": weight})


def estimates(path: Path, work_dir: Path, name: str, seed: int, **select: Any) -> tuple[float, float, float]:
    """Of one draw: the total weight, the weight of turns that were bad, and the weight of stratum c."""
    wanted = Wanted(path, policy(Truncate(name), seed), seed=seed, select=Select(near_duplicates=None, **select))
    total = bad = third = 0.0
    for entry in index(wanted, work_dir):
        if isinstance(entry, Indexed):
            _, original = open_prefix(entry)
            total += entry.weight
            bad += entry.weight * (original[0]["content"] == "bad")
            third += entry.weight * (entry.stratum == "c")
    return total, bad, third


@pytest.mark.parametrize(
    ("name", "select"),
    [
        ("last_turn", {"sample": 60}),
        ("last_turn", {"per_stratum": 20}),
        ("last_turn", {"strata": {"a": 10, "c": 30}}),
        ("random", {}),
        ("random", {"sample": 60}),
        ("random", {"per_stratum": 20}),
    ],
)
def test_weights_reproduce_the_totals_of_the_population(name: str, select: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    everyone = list(population())
    canonical.write(path, everyone)
    truth = [0.0, 0.0, 0.0]
    for transcript in everyone:
        replies = [m["content"] for m in transcript.messages if m["role"] == "assistant"]
        counted = replies if name == "random" else replies[-1:]
        weight = transcript.metadata["weight"]
        truth[0] += weight * len(counted)
        truth[1] += weight * counted.count("bad")
        truth[2] += weight * len(counted) * (transcript.metadata["stratum"] == "c")
    draws = [estimates(path, tmp_path / "run", name, seed, **select) for seed in range(40)]
    for true, found in zip(truth, zip(*draws, strict=True), strict=True):
        mean = sum(found) / len(found)
        error = (sum((value - mean) ** 2 for value in found) / (len(found) - 1) / len(found)) ** 0.5
        assert abs(mean - true) <= 4 * error + 1e-6 * true, (true, mean, error)


def test_counts_per_stratum_are_kept_and_what_was_not_drawn_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    canonical.write(path, population())
    wanted = Wanted(path, policy(Truncate()), select=Select(strata={"a": 3}, per_stratum=7))
    items = list(index(wanted, tmp_path / "run"))
    drawn = [item.stratum for item in items if isinstance(item, Indexed)]
    assert {name: drawn.count(name) for name in "abc"} == {"a": 3, "b": 7, "c": 7}
    left = [item for item in items if isinstance(item, Excluded)]
    assert {item.reason for item in left} == {"not drawn"}
    assert len(items) == 300


def test_a_larger_draw_holds_the_smaller_one(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    canonical.write(path, population())
    few, many = (
        {
            item.transcript
            for item in index(Wanted(path, policy(Truncate()), select=Select(sample=n)), tmp_path / "run")
            if isinstance(item, Indexed)
        }
        for n in (20, 50)
    )
    assert few < many
    assert (len(few), len(many)) == (20, 50)
