"""Published agent logs of all formats: each file is recognised, and what comes out agrees with the count made of it.

The table that is compared with stands in SOURCES.md beside the logs. Where a number differs, a named trap is the
reason. `pytest -s -k real_collection` prints the comparison.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from resample.formats import Excluded, Located, read
from resample.formats.checks import validate
from resample.prepare.prefix import style_of

FORMAT_OF = {
    "agentdojo-drift": "agentdojo",
    "agentdojo-invariant": "agentdojo",
    "codex-rollout": "codex",
    "openai-chat-completions": "openai_chat",
    "openhands-sdk-events": "openhands_sdk",
}
"""Where a folder is not named as the format is, but for hyphens."""

REFUSED = ("other-cli", "vscode-chatreplay", "tau2-judge-labels")
"""Logs of other agents, and verdicts: no format claims them."""


class Count(NamedTuple):
    """What a folder holds."""

    conversations: int
    messages: int
    calls: int


class Trap(NamedTuple):
    """What is read, and why the count beside the logs differs."""

    count: Count
    why: str


TRAPS: dict[str, Trap] = {
    "agentdojo-drift": Trap(
        Count(40, 495, 226), "32 calls stand in the text only: the defence refused them, or saw no need for them"
    ),
    "atif": Trap(
        Count(3, 24, 9),
        "outputs stand in the step of their call (+8), three steps of the harness are no messages;"
        " Terminus writes 7 calls as text",
    ),
    "claude-code": Trap(
        Count(44, 1794, 798),
        "one reply stands in several records, and records of the harness are no messages; sub-agents' conversations and"
        " those after /clear are conversations of their own; compactions and dead branches take calls away",
    ),
    "codex-rollout": Trap(
        Count(8, 457, 203),
        "reasoning, text and calls of one reply are one message; a compaction replaces what was before it (-7 calls),"
        " and one call stands without an envelope (+1)",
    ),
    "gemini-cli": Trap(
        Count(9, 85, 31),
        "outputs stand inside their calls (+30); notices are no messages (-3), and one had cut a reply in two (-1);"
        " a session of one warning has no dialogue",
    ),
    "inspect": Trap(
        Count(135, 917, 206),
        "a sample of tool messages only has no dialogue (-11 messages); six calls that the agent took out of `messages`"
        " stand in the model events",
    ),
    "mini-swe-agent": Trap(Count(1, 22, 10), "calls are written as text"),
    "openhands": Trap(Count(5, 226, 108), "events of recall are no messages in these runs"),
    "openhands-sdk-events": Trap(Count(1, 4, 2), "an output that answers no call in the file"),
    "pi-session": Trap(
        Count(2, 904, 373),
        "15 aborted or failed turns were never seen again (-18 calls); a compaction leaves its summary (+1)",
    ),
    "swe-agent": Trap(Count(14, 295, 138), "a history that ends before the last reply, which stands in the trajectory"),
    "tau2-bench": Trap(
        Count(160, 4290, 1672),
        "the policy is the system prompt (+160); the harness wrote over 40 calls of `done` with its stop mark",
    ),
}


def counted_beside_the_logs(folder: Path) -> dict[str, Count]:
    """The table of SOURCES.md."""
    table = (folder / "SOURCES.md").read_text()
    rows = re.findall(r"^\| ([\w-]+) \| \d+ \| \d+ \| (\d+) \| (\d+) \| (\d+) \|", table, re.M)
    return {name: Count(*map(int, numbers)) for name, *numbers in rows}


class Reading(NamedTuple):
    """What was read of a folder."""

    count: Count
    sources: Counter[str]
    excluded: Counter[str]


def reading_of(folder: Path) -> Reading:
    """Every transcript valid, with a cluster and a source."""
    conversations = messages = calls = 0
    sources: Counter[str] = Counter()
    excluded: Counter[str] = Counter()
    for item in read(folder):
        if isinstance(item, Excluded):
            excluded[item.reason] += 1
        if not isinstance(item, Located):
            continue
        transcript = item.transcript
        assert validate(transcript) is None
        agent = style_of(transcript)
        conversations += 1
        messages += len(transcript.messages)
        calls += sum(len(agent.calls(m)) for m in transcript.messages if m["role"] == "assistant")
        sources[transcript.metadata["source"]] += 1
    return Reading(Count(conversations, messages, calls), sources, excluded)


def test_every_file_is_recognised_and_counts_agree(real_transcripts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beside = counted_beside_the_logs(real_transcripts)
    folders = sorted(path for path in real_transcripts.iterdir() if path.is_dir())
    assert {folder.name for folder in folders} == set(beside)
    lines = [f"{'':<24}{'conversations':>18}{'messages':>18}{'tool calls':>18}  excluded"]
    wrong = []
    for folder in folders:
        reading = reading_of(folder)
        name, counted = folder.name, beside[folder.name]
        pairs = zip(reading.count, counted, strict=True)
        excluded = ", ".join(f"{reason} {n}" for reason, n in reading.excluded.items())
        lines.append(f"{name:<24}" + "".join(f"{f'{ours} ({theirs})':>18}" for ours, theirs in pairs) + f"  {excluded}")
        if name in REFUSED:
            assert not reading.sources
            continue
        assert set(reading.sources) == {FORMAT_OF.get(name, name.replace("-", "_"))}
        assert set(reading.excluded) <= {"no dialogue", "malformed JSON"}
        trap = TRAPS.get(name)
        lines += [f"    {trap.why}"] if trap else []
        if reading.count != (trap.count if trap else counted):
            wrong.append(name)
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert not wrong
