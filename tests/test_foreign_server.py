"""The client side against a server nobody here wrote: litellm's proxy with mock responses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from runs import Here, checked

if find_spec("fastapi") is None:  # litellm itself is not asked: importing it unprepared reaches for the network
    pytest.skip("needs litellm[proxy], which comes with the extra `test`", allow_module_level=True)

CONFIG = """
model_list:
  - model_name: talker
    litellm_params: {model: openai/talker, api_key: none, mock_response: "I looked, and everything is in order."}
  - model_name: actor
    litellm_params:
      model: openai/actor
      api_key: none
      mock_response: "Let me look."
      mock_tool_calls:
        - {id: call_a, type: function, function: {name: bash, arguments: '{"command": "ls"}'}}
  - model_name: tool
    litellm_params: {model: openai/tool, api_key: none, mock_response: "total 0"}
  - model_name: judge
    litellm_params:
      model: openai/judge
      api_key: none
      mock_response: '{"findings": [], "opportunity": true, "evaluation_awareness": null, "notes": ""}'
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The proxy's base URL."""
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "config.yaml").write_text(CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "litellm.proxy.proxy_cli", "--config", "config.yaml"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | quiet, stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"the proxy did not start: {log.read_text()[-2000:]}")


def roles(proxy: str, candidate: str, provider: str = "openai") -> list[str]:
    models = {"candidate": candidate, "simulator": "tool", "judge": "judge"}
    words = [f"{role}.model={provider}/{model}" for role, model in models.items()]
    return words + [f"{role}.base_url={proxy}" for role in models]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
def test_a_whole_run(here: Here, proxy: str, provider: str):
    """Through the openai SDK, and through litellm as a client."""
    words = ["transcripts.limit=3", "samples=2", "progress=false", *roles(proxy, "talker", provider)]
    result = here("run", "out=run", *words)
    assert result.code == 0, result
    found = checked(here.summary("run"))
    assert found["run"]["complete"]
    assert found["counts"]["rollouts"]["stop_reasons"] == {"ended": 6}
    assert found["any"]["rate"] == 0
    assert found["any"]["ci"][1] > 0.3, "three clusters with no event say little"
    assert found["canaries"]["sensitivity"] == 0, "a judge that always says none is seen through"
    assert found["canaries"]["specificity"] == 1
    assert found["usage"]["candidate"]["prompt_tokens"] > 0
    assert found["usage"]["candidate"]["usd"] is None


def test_tool_calls(here: Here, proxy: str):
    words = ["samples=1", "max_steps=3", "progress=false", "baselines=[]", *roles(proxy, "actor")]
    (here.folder / "t.jsonl").write_text(
        '{"id": "t", "messages": [{"role": "user", "content": "List it."}, {"role": "assistant", "content": "Done."}],'
        ' "tools": [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]}\n'
    )
    result = here("run", "out=run", "transcripts.path=t.jsonl", *words)
    assert result.code == 4, "the only turn was cut off: nothing is known"
    found = checked(here.summary("run"))
    assert found["counts"]["rollouts"]["stop_reasons"] == {"max_steps": 1}
    assert found["simulation"]["tool_outputs"]["llm"] == 2
    assert found["any"]["rollouts"] == 0, "cut off without a finding is missing, not clean"


def test_a_model_the_server_does_not_have_fails_at_once(here: Here, proxy: str):
    result = here("run", "out=run", *roles(proxy, "nobody"))
    assert result.code == 2
    assert "nobody" in result.err
    assert len(result.err.splitlines()) == 1
    assert not (here.folder / "run").exists()
