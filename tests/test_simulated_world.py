"""What a user sets about the simulated world, in runs over HTTP against the stand-in."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest
from builders import BASH, acting, output, saying, tool_call
from runs import Here

from resample.types import Source, ToolOutput


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


class Echo:
    """A user's own simulator."""

    def open(self, prefix: Any, original: Any, seed: int) -> Echo:
        return self

    async def answer(self, call: Any) -> ToolOutput:
        return ToolOutput(f"ran {call.arguments}", Source.OTHER)


class Breaks(Echo):
    """One that cannot be made."""

    def __init__(self) -> None:
        raise SystemExit(3)


def danger() -> Echo:
    """A function, which a route must never call."""
    raise AssertionError("it was called")


def world(here: Here, *words: str) -> dict[str, Any]:
    """What the summary of a run says of its world."""
    result = here("run", "out=r", "progress=false", "samples=3", *words)
    assert result.code == 0, result
    simulation: dict[str, Any] = here.summary("r")["simulation"]
    return simulation


def test_trouble_is_drawn_marked_and_counted(here: Here):
    found = world(here, "simulator.faults.timeout=0.2", "simulator.faults.truncated=0.2")
    assert set(found["trouble"]) == {"timeout", "truncated"}
    outputs = sum(found["tool_outputs"].values())
    assert 0.1 * outputs < found["trouble"]["timeout"] < 0.3 * outputs
    assert found["tool_outputs"]["other"] == found["trouble"]["timeout"]


def test_tools_are_routed_to_a_simulator_of_the_users_own(here: Here):
    route = "simulator.routes=[{match: 'b*', use: test_simulated_world.Echo}, {match: read_logs, use: llm}]"
    found = world(here, route)
    assert found["tool_outputs"]["other"] > 0
    with sqlite3.connect(here.folder / "r" / "run.sqlite") as database:
        rows = database.execute("SELECT messages, sources FROM rollouts WHERE arm = 'candidate'").fetchall()
    for messages, sources in rows:
        listed = orjson.loads(messages)
        names = {call["id"]: call["function"]["name"] for each in listed for call in each.get("tool_calls") or ()}
        tools = [names[each["tool_call_id"]] for each in listed if each["role"] == "tool"]
        for name, source in zip(tools, orjson.loads(sources), strict=True):
            assert (source == "other") == name.startswith("b")


def test_a_share_of_the_rollouts_is_simulated_without_the_original_turn(here: Here):
    found = world(here, "simulator.original=0.5")
    groups = found["by_original"]
    assert groups["shown"]["rollouts"] > 0
    assert groups["hidden"]["rollouts"] > 0
    assert found["original_hidden"] > 0
    assert groups["hidden"]["ci"][0] <= (groups["hidden"]["rate"] or 0) <= groups["hidden"]["ci"][1]


def test_a_simulator_that_errs_shows_in_the_summary(here: Here):
    found = world(here, "standin.simulator.faults=1")
    assert found["flagged"]["rate"] > 0.95
    assert found["flagged"]["of"] == found["tool_outputs"]["llm"]


# -- snapshots ------------------------------------------------------------------------------------------------------

READ = {"command": "cat notes.txt"}


def write_transcript(folder: Path, **metadata: Any) -> None:
    """One transcript whose last turn reads a file, in an environment that has shown how it answers."""
    messages = [
        {"role": "user", "content": "Look around."},
        acting(tool_call("bash", {"command": "pwd"}, "c1")),
        output("/srv/app", "c1"),
        saying("Done."),
        {"role": "user", "content": "Read the notes."},
        acting(tool_call("bash", READ, "c2")),
        output("as recorded", "c2"),
        saying("They say: as recorded."),
    ]
    body = {"id": "t", "messages": messages, "tools": [BASH], "metadata": metadata}
    (folder / "t.jsonl").write_bytes(orjson.dumps(body) + b"\n")


def reconstructed(here: Here, *words: str) -> Any:
    """Of the one call, how it was answered without its recording: right, wrong, or not at all."""
    result = here(
        "fidelity", "transcripts.path=t.jsonl", "measures=[reconstruction]", "out=f.json", "progress=false", *words
    )
    assert result.code == 0, result
    measured = orjson.loads((here.folder / "f.json").read_bytes())["reconstruction"]
    return measured["calls"], measured["answered"], measured["right"]


@pytest.mark.parametrize("how", ["transcript", "config"])
def test_a_snapshot_answers_what_was_never_shown(here: Here, how: str):
    snapshot = here.folder / "snapshot"
    snapshot.mkdir()
    (snapshot / "notes.txt").write_text("as recorded\n")
    spec = {"path": "snapshot", "root": "/srv/app"}
    write_transcript(here.folder, **({"workspace": spec} if how == "transcript" else {}))
    words = [] if how == "transcript" else ["simulator.workspace={path: snapshot, root: /srv/app}"]
    assert reconstructed(here, *words) == (1, 1, 1)
    write_transcript(here.folder)
    assert reconstructed(here) == (1, 0, 0)


def test_a_transcript_cannot_name_a_snapshot_anywhere(here: Here, tmp_path_factory: pytest.TempPathFactory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "notes.txt").write_text("secret\n")
    write_transcript(here.folder, workspace={"path": str(elsewhere), "root": "/srv/app"})
    run = ("run", "transcripts.path=t.jsonl", "progress=false", "samples=1")
    refused = here(*run, "out=a")
    failed = here.summary("a")["counts"]["rollouts"]["failed"]
    assert (refused.code, failed) == (4, {"simulator_error": 1})
    with sqlite3.connect(here.folder / "a" / "run.sqlite") as database:
        (detail,) = database.execute("SELECT detail FROM rollouts WHERE stop_reason = 'simulator_error'").fetchone()
    assert "simulator.workspaces_in" in detail
    assert here(*run, "out=b", f"simulator.workspaces_in=[{elsewhere}]").code == 0
    (here.folder / "link").symlink_to(elsewhere)
    write_transcript(here.folder, workspace={"path": "link", "root": "/srv/app"})
    assert here(*run, "out=c").code == 4, "nor by a link"


@pytest.mark.parametrize("spec", ["", "\0", "a\0b", {"path": ""}, {"path": "\0"}, 7, [], "no/such/place", "~nobody"])
def test_a_bad_snapshot_that_a_transcript_names_fails_its_rollouts_and_says_so(here: Here, spec: Any):
    write_transcript(here.folder, workspace=spec)
    assert here("run", "transcripts.path=t.jsonl", "progress=false", "samples=1", "out=a").code == 4
    assert here.summary("a")["counts"]["rollouts"]["failed"] == {"simulator_error": 1}
    with sqlite3.connect(here.folder / "a" / "run.sqlite") as database:
        (detail,) = database.execute("SELECT detail FROM rollouts WHERE stop_reason = 'simulator_error'").fetchone()
    assert detail.startswith("open: UserError: transcript t: metadata.workspace")
    measured = here("fidelity", "transcripts.path=t.jsonl", "measures=[identity]", "progress=false")
    assert (measured.code, measured.err.count("\n")) == (2, 1), measured
    assert "transcript t: metadata.workspace" in measured.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["simulator.original=1.5"], "simulator.original=1.5"),
        (["simulator.faults.timeout=-1"], "simulator.faults.timeout"),
        (["simulator.faults.timeout=0.6", "simulator.faults.truncated=0.6"], "add up to 1.2"),
        (["simulator.routes=[{match: bash}]"], "match (a glob of tool names) and use"),
        (
            ["simulator.routes=[{match: bash, use: no.such.Thing}]"],
            "run: simulator.routes: use=no.such.Thing: cannot be im",
        ),
        (
            ["simulator.routes=[{match: bash, use: lm}]"],
            "give one of recorded, workspace, llm, or a class as module.Class",
        ),
        (
            ["simulator.routes=[{match: bash, use: json.JSONDecoder}]"],
            "use=json.JSONDecoder: is no class with a method open",
        ),
        (["simulator.routes=[{match: bash, use: test_simulated_world.danger}]"], "is no class with a method open"),
        (["simulator.routes=[{match: bash, use: test_simulated_world.Breaks}]"], "cannot be made: SystemExit: 3\n"),
        (["simulator.workspace=t.jsonl"], "simulator.workspace t.jsonl: neither a zip nor a tar archive"),
        (["simulator.workspace={path: ., foo: 1}"], "simulator.workspace: unknown key foo"),
        (["simulator.workspace=no@deadbeef"], "simulator.workspace no@deadbeef: nothing there"),
        (["simulator.workspace={path: ., commit: deadbeef}"], "simulator.workspace .: no git repository"),
        (['simulator.workspace=""'], "simulator.workspace: '' names no place"),
        (['simulator.workspace="a\\u0000b"'], "nothing there"),
        (["simulator=recorded", "simulator.faults.timeout=0.1"], "takes no such argument"),
        (["fidelity.sample=2"], "fidelity.sample=2"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_spent(here: Here, words: list[str], says: str):
    write_transcript(here.folder)
    result = here("run", "out=r", "progress=false", *words)
    assert result.code == 2, result
    assert says in result.err
    assert result.err.count("\n") == 1
    assert not (here.folder / "r").exists()
