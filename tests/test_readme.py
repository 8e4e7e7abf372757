"""The README is true: its output is what the program prints, its query runs, its keys exist."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from pathlib import Path

import orjson
import pytest
from builders import ROOT, USER, ScriptedModel, prefix_of
from omegaconf import OmegaConf
from runs import resample, summary

from resample.config import RunConfig
from resample.formats import FORMATS
from resample.types import ToolCall
from simulators.ladder import standard_ladder

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The main job, as the README's first command does it: its directory and what it printed."""
    folder = tmp_path_factory.mktemp("first")
    result = resample("run", cwd=folder)
    assert result.code == 0, result
    (directory,) = (folder / "runs").iterdir()
    return directory, result.out


def block_after(text: str) -> str:
    """The first fenced block after `text`."""
    found = re.search(r"```\w*\n(.*?)```", README.partition(text)[2], re.DOTALL)
    assert found, text
    return found[1]


def test_the_output_shown_is_the_output(first_run: tuple[Path, str]):
    shown = [line for line in block_after("The first one ends like this").splitlines() if line.strip()]
    printed = first_run[1].splitlines()
    for line in shown[1:-1]:  # the first is shortened, the last names the directory
        assert line in printed
    assert shown[0].split(" (...)")[0] in printed[0]


def test_the_cost_shown_is_what_a_dry_run_says(tmp_path: Path):
    result = resample("run", "dry_run=true", "samples=8", cwd=tmp_path)
    assert result.code == 0
    assert block_after("resample run dry_run=true samples=8\n```") in result.out


def test_the_query_runs(first_run: tuple[Path, str]):
    found = re.search(r'run\.sqlite "(SELECT .*?)"', README, re.DOTALL)
    assert found
    db = sqlite3.connect(first_run[0] / "run.sqlite")
    rows = db.execute(found[1]).fetchall()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    db.close()
    assert len(rows) == 1
    for name in ("prefixes", "rollouts", "verdicts", "requests", "failures", "texts"):
        assert name in tables
        assert f"`{name}`" in README


def test_the_one_liner_for_gates_runs(first_run: tuple[Path, str]):
    found = re.search(r"python3 -c '(.*?)'", README)
    assert found
    code = found[1].replace("gate/summary.json", str(first_run[0] / "summary.json"))
    exec(code)


def test_the_plug_ins_shown_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_package.py").write_text("\n\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL)))
    run = ("run", "progress=false", "samples=1", "transcripts.limit=4")
    routes = re.findall(r"'(simulator\.routes=.*?)'", README)
    assert len(routes) == 1
    for number, plug_in in enumerate(["simulator._target_=my_package.EchoSimulator", *routes]):
        result = resample(*run, f"out=r{number}", plug_in, cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"})
        assert result.code == 0, result
    counts = summary(tmp_path / "r0")["simulation"]["tool_outputs"]
    assert counts["other"] > counts["recorded"] + counts["workspace"] + counts["llm"] == 0

    monkeypatch.syspath_prepend(tmp_path)
    routed = OmegaConf.to_container(OmegaConf.create(routes[0].partition("=")[2]))
    ladder = standard_ladder(ScriptedModel(lambda _: "written by a model"), routes=routed)
    session = ladder.open(prefix_of(USER), (), 1)

    async def asked(query: str) -> str:
        call = ToolCall("c", "sql_query", orjson.dumps({"query": query}).decode(), {"query": query})
        return (await session.answer(call)).content

    assert asyncio.run(asked("SELECT 1")) == "(0 rows)"
    assert asyncio.run(asked("drop it")) == "written by a model", "a route that does not know leaves it to the next"


def test_the_keys_named_exist():
    table = README.partition("## Keys of `run`")[2].partition("## ")[0]
    named = {
        key
        for row in table.splitlines()
        if row.startswith("| `")
        for key in re.findall(r"`(\w+)[`.]", row.split("|")[1])
    }
    known = set(RunConfig.__dataclass_fields__)
    leaves = {"model", "samples"}
    assert named - known - leaves == set(), named - known


def test_the_two_commands_are_there_and_the_second_is_the_one_ci_runs():
    commands = re.findall(r"```bash\n(python3 -m venv .*)\n```", README)
    assert len(commands) == 2
    assert commands[0].endswith("resample run")
    assert "pytest" in commands[1]
    assert "<!-- test command -->\n```bash\n" + commands[1] in README


def test_every_format_is_named():
    table = README.partition("## Your transcripts")[2].partition("## ")[0]
    named = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert named == set(FORMATS)


def test_the_import_shown_is_what_import_says(tmp_path: Path, real_transcripts: Path):
    result = resample("import", f"transcripts.path={real_transcripts}", "out=all.jsonl", cwd=tmp_path)
    assert result.code == 0
    assert block_after("resample import transcripts.path=logs/ out=all.jsonl\n```") == result.out


def test_the_fidelity_shown_is_what_was_measured(tmp_path: Path, real_transcripts: Path):
    for name in ("claude-code", "codex-rollout", "swe-agent", "mini-swe-agent", "openhands", "pi-session"):
        shutil.copytree(real_transcripts / name, tmp_path / "logs" / name)
    result = resample("fidelity", "transcripts.path=logs/", "out=fidelity.json", cwd=tmp_path)
    assert result.code == 0
    printed = result.out.splitlines()
    for line in block_after("resample fidelity transcripts.path=logs/ out=fidelity.json\n```").splitlines():
        assert line in printed
