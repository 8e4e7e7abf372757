"""What a user may have done to transcripts as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, read
from resample.formats.adjust import Adjustment, Images, Supply, read_supplies
from resample.types import Transcript, UserError

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
FILE = {"type": "file", "file": {"file_id": "f"}}
TEXT = {"type": "text", "text": "look"}
SCHEMA = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object", "properties": {}}}}
ACTING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "ls", "arguments": "{}"}}],
}


def save(path: Path, *conversations: Any) -> Path:
    path.write_bytes(b"".join(orjson.dumps(c) + b"\n" for c in conversations))
    return path


def located(path: Path, adjust: Adjustment) -> list[Located]:
    return [item for item in read(path, adjust=adjust) if isinstance(item, Located)]


SEEING = {
    "id": "seeing",
    "messages": [{"role": "user", "content": [TEXT, IMAGE, FILE]}, {"role": "assistant", "content": "I see"}],
}
BLIND = {"id": "blind", "messages": [{"role": "user", "content": [TEXT]}, {"role": "assistant", "content": "ok"}]}


def test_images_are_kept_marked_or_the_reason_not_to_use_a_transcript(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", SEEING, BLIND)
    kept = located(path, Adjustment(Images.KEEP))
    assert kept[0].transcript.messages == SEEING["messages"]
    assert all(item.span for item in kept)  # still read from where they stand
    marked, blind = located(path, Adjustment(Images.PLACEHOLDER))
    shown = [TEXT, {"type": "text", "text": "[image not shown]"}, {"type": "text", "text": "[file not shown]"}]
    assert marked.transcript.messages[0] == {"role": "user", "content": shown}
    assert marked.transcript.metadata == {"missing": ["images"]}
    assert marked.span is None and blind.span is not None
    used, excluded = sorted(read(path, adjust=Adjustment(Images.EXCLUDE)), key=lambda item: isinstance(item, Excluded))
    assert isinstance(used, Located) and used.transcript.id == "blind"
    assert isinstance(excluded, Excluded) and (excluded.reason, excluded.line) == ("has images", 1)


def test_what_logs_lack_is_supplied_and_what_they_have_is_kept() -> None:
    adjust = Adjustment(supplies={"f": Supply("You are F.", (SCHEMA,))})
    metadata = {"source": "f", "missing": ["images", "system_prompt", "tool_schemas"], "lines": [3, 4]}
    lacking = Transcript("t", [{"role": "user", "content": "u"}, ACTING], [], metadata)
    full = adjust(lacking)
    assert isinstance(full, Transcript)
    assert full.messages == [{"role": "system", "content": "You are F."}, *lacking.messages]
    assert full.tools == [SCHEMA]
    assert full.metadata == {
        "source": "f",
        "missing": ["images"],
        "lines": [None, 3, 4],
        "supplied": ["system_prompt", "tool_schemas"],
    }
    assert lacking.metadata == metadata
    assert adjust(full) is full
    other = Transcript("t", lacking.messages, [], {"source": "g"})
    assert adjust(other) is other


def test_a_file_of_supplies(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("You are F.\n")
    (tmp_path / "tools.json").write_text('[{"name": "ls", "input_schema": {"type": "object", "properties": {}}}]')
    file = tmp_path / "supply.yaml"
    file.write_text("f:\n  system_file: prompt.txt\n  tools_file: tools.json\ng:\n  system: Be G.\n")
    sources = frozenset({"f", "g"})
    assert read_supplies(file, sources) == {"f": Supply("You are F.\n", (SCHEMA,)), "g": Supply("Be G.")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("f: [", "is no YAML"),
        ("- f", "an entry for each source"),
        ("h: {system: x}", "no such source; there are f, g"),
        ("f: {sytem: x}", "takes system, system_file, tools, tools_file"),
        ("f: {}", "takes system"),
        ("f: {system: 3}", "must be a text"),
        ("f: {system_file: none.txt}", r"none\.txt: cannot be read"),
        ("f: {tools: {a: b}}", "a list of schemas"),
        ("f: {tools: [{description: x}]}", "each with a name"),
    ],
)
def test_a_wrong_file_of_supplies_is_said_to_be_so(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "supply.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=says):
        read_supplies(file, frozenset({"f", "g"}))
