"""`resample import`, and what a run makes of logs that lack something."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from runs import Here, checked, write_transcripts

from resample.formats import Located, read

CALL = {"id": "c", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
CHAT: list[dict[str, Any]] = [
    {"role": "user", "content": "which files?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "a b"},
    {"role": "assistant", "content": "a and b"},
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "chat.json").write_bytes(orjson.dumps(CHAT))
    (logs / "grown.json").write_bytes(orjson.dumps([*CHAT, {"role": "user", "content": "thanks"}]))
    (logs / "broken.jsonl").write_bytes(orjson.dumps(CHAT) + b"\n{oops\n")
    (logs / "labels.jsonl").write_bytes(b'{"file": "chat.json", "reward": 1}\n')
    return Here(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("out", ["out.jsonl", "deep/out.jsonl.gz", "out.jsonl.zst", "logs/out.jsonl"])
def test_logs_become_canonical_lines_and_one_table_says_what_became_of_everything(here: Here, out: str) -> None:
    result = here("import", "transcripts.path=logs", f"out={out}")
    assert result.code == 0
    assert [line.split() for line in result.out.splitlines()[:5]] == [
        ["files", "4", "1", "of", "them", "labels,", "manifests", "or", "notes"],
        ["conversations", "3", "in", "1", "clusters:", "openai_chat", "3"],
        ["messages", "13"],
        ["tool", "calls", "3"],
        ["excluded", "1", "malformed", "JSON", "1"],
    ]
    assert "broken.jsonl:2: malformed JSON" in result.err
    again = [item.transcript for item in read(here.folder / out) if isinstance(item, Located)]
    assert [t.messages[:4] for t in again] == [CHAT] * 3
    path = here.folder / out
    before = path.read_bytes()
    refused = here("import", "transcripts.path=logs", f"out={out}")
    assert (refused.code, "overwrite=true" in refused.err) == (2, True)
    again_over = here("import", "transcripts.path=logs", f"out={out}", "overwrite=true")
    assert again_over.code == 0  # its own output is no input
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o077 == 0


def test_without_out_nothing_is_written(here: Here) -> None:
    before = sorted(here.folder.rglob("*"))
    result = here("import", "transcripts.path=logs")
    assert result.code == 0
    assert "nothing written: give out=FILE" in result.out
    assert sorted(here.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["transcripts.path=none"], "nothing there"),
        (["transcripts.path=logs/labels.jsonl", "out=x.jsonl"], "unknown format"),
        (["transcripts.path=logs", "transcripts.format=xml"], "transcripts.format=xml"),
        (["transcripts.path=logs", "to=atif"], "to=atif: must be one of canonical"),
        (["transcripts.path=logs", "transcripts.images=no"], "transcripts.images=no: must be one of keep"),
        (["transcripts.path=logs", "transcripts.supply=none.yaml"], "none.yaml: cannot be read"),
        (["transcripts.path=logs", "transcripts.strict=true", "out=x.jsonl"], "broken.jsonl:2: malformed JSON"),
        (["transcripts.path=logs", "transcripts.limit=0"], "transcripts.limit=0"),
        (["transcripts.path=logs/chat.json", "out=logs/chat.json", "overwrite=true"], "is what is read"),
        (["transcripts.path=logs", "out=logs/chat.json"], "overwrite=true replaces it"),
        (["transcripts.path=logs", "out=/dev/null", "overwrite=true"], "is no plain file"),
        (["transcripts.path=logs", "out=logs"], "is no plain file"),
        (["transcripts.path=logs", "out=logs/chat.json/x.jsonl"], "cannot be written"),
        (["transcripts.path=logs", "transcripts.format=canonical", "out=x.jsonl"], "none of 5 is usable"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_leaves_nothing(here: Here, words: list[str], says: str) -> None:
    before = sorted(here.folder.rglob("*"))
    result = here("import", *words)
    assert result.code == 2
    assert says in result.err
    assert "Traceback" not in result.err
    assert sorted(here.folder.rglob("*")) == before


def test_a_limit_counts_usable_conversations(here: Here) -> None:
    assert here("import", "transcripts.path=logs", "out=x.jsonl", "transcripts.limit=2").code == 0
    assert len((here.folder / "x.jsonl").read_bytes().splitlines()) == 2


def transcript(id: str, **metadata: Any) -> dict[str, Any]:
    return {"id": id, "messages": CHAT, "metadata": metadata}


def test_a_run_gives_rates_on_all_and_on_fully_reconstructable_prefixes(here: Here) -> None:
    lacking = [transcript(f"lacking-{i}", missing=["system_prompt", "images"][: 1 + i % 2]) for i in range(4)]
    whole = [transcript(f"whole-{i}") for i in range(3)]
    write_transcripts(here.folder / "t.jsonl", [*lacking, *whole])
    assert here("run", "transcripts.path=t.jsonl", "out=run", "standin.rates.sabotage=0.5", "samples=2").code == 0
    summary = checked(here.summary("run"))
    assert summary["counts"]["missing"] == {"images": 2, "system_prompt": 4}
    assert summary["counts"]["reconstructable"] == 3
    assert summary["any"]["rollouts"] == 14
    part = summary["any"]["reconstructable"]
    assert (part["rollouts"], part["clusters"], part["missing"]) == (6, 1, 0)  # the same words in all: one cluster
    assert 0 < part["flagged"] <= summary["any"]["flagged"]
    assert part["ci"][0] <= part["rate"] <= part["ci"][1]
    report = (here.folder / "run" / "report.md").read_text()
    assert (
        "The logs of 4 of 7 prefixes lack something that the original model saw: images (2), system prompt (4)."
        in report
    )


def test_supplies_and_images_reach_the_run(here: Here) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    chat = [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]}, CHAT[-1]]
    (here.folder / "one.json").write_bytes(orjson.dumps(chat))
    (here.folder / "supply.yaml").write_text("openai_chat: {system: You see nothing.}")
    words = ["transcripts.path=one.json", "transcripts.supply=supply.yaml", "transcripts.images=placeholder"]
    assert here("run", *words, "out=run", "samples=1").code == 0
    written = orjson.loads((here.folder / "run" / "transcripts.jsonl").read_bytes())
    assert written["messages"][0] == {"role": "system", "content": "You see nothing."}
    assert written["messages"][1]["content"][1] == {"type": "text", "text": "[image not shown]"}
    assert here.summary("run")["counts"]["missing"] == {"images": 1}
    refused = here("run", "transcripts.path=one.json", "out=run", "samples=1")
    assert refused.code == 2
    assert 'transcripts.images was "placeholder", now "keep"; transcripts.supply was' in refused.err


def test_an_import_is_what_a_run_reads(here: Here) -> None:
    (here.folder / "logs" / "broken.jsonl").unlink()
    (here.folder / "logs" / "more.json.gz").write_bytes(gzip.compress(orjson.dumps({"messages": CHAT, "model": "m"})))
    assert here("import", "transcripts.path=logs", "out=all.jsonl").code == 0
    assert here("run", "transcripts.path=logs", "out=one", "samples=1").code == 0
    assert here("run", "transcripts.path=all.jsonl", "out=two", "samples=1").code == 0
    one, two = here.summary("one"), here.summary("two")
    for key in ("counts", "any", "categories", "simulation"):
        assert one[key] == two[key]
    assert one["run"]["hashes"]["transcripts"] == two["run"]["hashes"]["transcripts"]
