"""The command line as a contract: exit codes, one clear line for bad input, and nothing heavy before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import USER, saying
from runs import QUIET, Here, resample, write_transcripts

FEW = ("transcripts.limit=2", "samples=1", "progress=false")


class Exits:
    """A judge that ends the program."""

    def __init__(self) -> None:
        sys.exit(0)


class Breaks:
    """A simulator that cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("out of order")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rnu"], "did you mean 'run'"),
        (["frobnicate"], "commands: run, import, report, fidelity, purge, standin"),
        (["run", "--nope"], "--nope"),
        (["run", "foo=1"], "unknown key 'foo'"),
        (["run", "transcripts.foo=1"], "unknown key 'transcripts.foo'"),
        (["run", "+max_failuers=0.01"], "did you mean max_failures"),
        (["run", "+judge.vew=full"], "did you mean judge.view"),
        (["run", "seed=99999999999999999999999"], "seed"),
        (["run", "samples=-3"], "samples=-3: must be at least 1"),
        (["run", "samples=many"], "could not be converted to Integer"),
        (["run", "transcripts.path=~/logs,b[x]"], "needs quotes within the shell's: 'key=\"value\"'"),
        (["run", "scrub.patterns.a=("], "needs quotes within the shell's"),
        (["run", "truncate=nowhere"], "last_action; last_model_call; last_turn"),
        (["run", "transcripts.path=missing.jsonl"], "missing.jsonl"),
        (["run", "transcripts.format=nope"], "canonical"),
        (["run", "candidate.model=gpt"], "must be provider/name"),
        (["run", "candidate.model=nosuchprovider/x"], "nosuchprovider"),
        (["run", "candidate.model=standin/reckles"], "standin/reckless"),
        (["run", "judge._target_=test_command_line.Exits"], "SystemExit"),
        (["run", "simulator._target_=test_command_line.Breaks"], "out of order"),
        (["run", "simulator._target_=os.getcwd"], "without a method `open`"),
        (["run", "cache.warm=hot"], "cache.warm"),
        (["run", "cache.affinity_header=Authorization"], "cache.affinity_header='Authorization'"),
        (["run", 'cache.affinity_header="a b"'], "cache.affinity_header='a b'"),
        (["run", "--config-dir"], "--config-dir"),
        (["run", "candidate.model=openai/gpt-4o-mini"], "OPENAI_API_KEY"),
        (["run", "candidate.model=openai/x", "candidate.api_key_env=NO_SUCH_KEY"], "NO_SUCH_KEY"),
        (["run", "candidate.model=openai/x", "candidate.base_url=localhost:1"], "http://"),
        (["run", "candidate.model=openai/x", "candidate.base_url=http://u:pw@localhost:1"], "password"),
        (["run", "candidate.headers.Authorization=Bearer-abc"], "env:NAME"),
        (["run", "candidate.params.api_key=abc"], "api_key_env"),
        (["run", "candidate.params.extra_headers={Authorization: abc}"], "extra_headers.Authorization"),
        (["run", "candidate.params.extra_body={x: [{azure_ad_token: abc}]}"], "azure_ad_token"),
        (["run", "candidate.params.x='Bearer abcdefgh'"], "params: x holds a secret"),
        (["run", "candidate.headers.X-Custom=${oc.env:HOME}"], "copy a value of the environment"),
        (["run", "candidate.params.user=${oc.env:HOME}"], "copy a value of the environment"),
        (["run", "candidate.api_key_env=sk-notaname"], "must be the name of an environment variable"),
        (["run", "judge.view=sideways"], "actions, reasoning, full"),
        (["run", "judge._target_=no.such.Judge"], "no.such.Judge"),
        (["run", "simulator.options.depth=3"], "depth"),
        (["run", "baselines=[yesterday]"], "recorded, control"),
        (["run", "canaries.count=3"], "at least 20"),
        (["run", "canaries.count=9999"], "there are 24"),
        (["run", "max_failures=2"], "between 0 and 1"),
        (["run", "confidence=0.3"], "between 0.5 and 1"),
        (["run", "budget.usd=0"], "more than 0"),
        (["run", "retry=all"], "none, failed"),
        (["run", "standin.rates.naughtiness=0.5"], "naughtiness"),
        (["run", "standin.rates.sabotage=2"], "standin.rates.sabotage"),
        (["run", "standin.correlation=1"], "correlation"),
        (["run", "-m", "samples=2", "out=somewhere"], "hydra.sweep.dir"),
        (["run", "++x=["], "no viable alternative"),
        (["report"], "run=DIR"),
        (["report", "run=nowhere"], "no run here"),
        (["standin", "port=99999"], "port=99999"),
        (["report", "runs=nowhere/**"], "no run directories"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(here: Here, words: list[str], says: str):
    result = here(*words)
    assert result.code == 2, result
    assert says in result.err
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("resample ")
    assert "Traceback" not in result.err
    assert not list(here.folder.glob("runs/*")), "a refused run leaves nothing behind"


def test_errors_do_not_repeat_a_password(here: Here):
    for url in ("bob:hunter2@host/v1", "http://bob:hunter2@host/v1"):
        result = here("run", "candidate.model=openai/x", f"candidate.base_url='{url}'")
        assert result.code == 2
        assert "hunter2" not in result.err + result.out
    result = here("run", "candidate.api_key_env=sk-realreal", "candidate.model=openai/x")
    assert "realreal" not in result.err


def test_a_broken_file_of_the_users_own_is_one_line(here: Here):
    group = here.folder / "mine" / "truncate"
    group.mkdir(parents=True)
    (group / "broken.yaml").write_text("policy: [last_turn\n")
    result = here("run", "--config-dir", str(here.folder / "mine"), "truncate=broken")
    assert result.code == 2
    assert len(result.err.splitlines()) == 1


def test_a_budget_in_money_needs_a_price(here: Here):
    result = here("run", "candidate.model=openai/x", "candidate.base_url=http://127.0.0.1:9/v1", "budget.usd=5")
    assert result.code == 2
    assert "price" in result.err


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{nope", "malformed JSON"),
        ('{"id": "b"}', "no messages"),
        ('{"id": "a", "messages": [1]}', "bad message"),
    ],
)
def test_malformed_transcripts_are_counted_or_with_strict_refused(here: Here, line: str, reason: str):
    path = write_transcripts(here.folder / "t.jsonl", [{"id": "ok", "messages": [USER, saying("Done.")]}])
    path.write_text(path.read_text() + line + "\n")
    result = here("run", f"transcripts.path={path}", "out=run", *FEW[1:])
    assert result.code == 0, result
    assert here.summary("run")["counts"]["transcripts"] == {"read": 2, "used": 1, "excluded": {reason: 1}}
    strict = here("run", f"transcripts.path={path}", "out=strict", "transcripts.strict=true", *FEW[1:])
    assert strict.code == 2
    assert f"{path}:2: {reason}" in strict.err
    assert not (here.folder / "strict").exists()


def test_an_empty_collection_is_refused(here: Here):
    write_transcripts(here.folder / "t.jsonl", [{"id": "a", "messages": [USER]}])
    result = here("run", "transcripts.path=t.jsonl", "out=run")
    assert result.code == 2
    assert "none of 1 is usable" in result.err
    assert "no assistant message" in result.err


def test_help_version_and_no_command(here: Here):
    assert here().code == 0
    assert here("--version").out.startswith("resample ")
    assert "candidate" in here("run", "--help").out
    assert "max_steps: 30" in here("run", "--cfg", "job").out


@pytest.mark.parametrize(
    "words",
    [["fidelity", "--help"], ["run", "--cfg", "job"], ["--help"], ["run", *FEW, "out=r"], ["fidelity", *FEW[::2]]],
)
def test_a_reader_who_has_read_enough_is_no_error(words: list[str], tmp_path: Path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "resample", *words]
    try:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | QUIET,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_open_keys_need_no_plus(here: Here):
    out = here("run", "candidate.params.temperature=0.5", "standin.rates.sabotage=0.1", "--cfg", "job").out
    assert "temperature: 0.5" in out
    assert "sabotage: 0.1" in out


def test_a_users_own_groups_are_found(here: Here):
    group = here.folder / "mine" / "truncate"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text("policy: last_action\n")
    out = here("run", "--config-dir", str(here.folder / "mine"), "truncate=mine", "--cfg", "job").out
    assert "policy: last_action" in out


_FORBID_SOCKETS = """
import socket, sys
def forbidden(*args, **kwargs):
    raise AssertionError("a socket at start-up")
socket.socket = socket.create_connection = socket.getaddrinfo = forbidden
from resample.cli import main
code = main(sys.argv[1:])
heavy = {"openai", "litellm", "scipy", "numpy", "matplotlib", "aiohttp", "ray", "jsonschema"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.parametrize("words", [["run", "--help"], ["run", "--cfg", "job"], ["--version"], [], ["report", "--help"]])
def test_start_up_is_light_and_touches_no_network(words: list[str], tmp_path: Path):
    command = [sys.executable, "-c", _FORBID_SOCKETS, *words]
    done = subprocess.run(command, cwd=tmp_path, env=QUIET, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


_IMPORT_ALL = """
import pkgutil, socket, importlib
def forbidden(*args, **kwargs):
    raise AssertionError("a socket at import")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = forbidden
import resample, simulators
for package in (resample, simulators):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def test_no_module_touches_the_network_when_imported(tmp_path: Path):
    command = [sys.executable, "-c", _IMPORT_ALL]
    done = subprocess.run(command, cwd=tmp_path, env=QUIET, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_an_internal_error_is_70_and_says_how_to_see_more(here: Here, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("resample.commands.report.perform", lambda *_: 1 // 0)
    result = here("report", "run=x")
    assert result.code == 70
    assert "ZeroDivisionError" in result.err
    assert "Traceback" not in result.err


def test_the_program_answers_as_a_module(tmp_path: Path):
    assert resample("--version", cwd=tmp_path).out.startswith("resample ")
