"""`resample COMMAND [hydra overrides]`: every command is a Hydra application with its own conf/COMMAND.yaml.

Hydra's own habits do not fit a release gate: it exits with 1 on a config error and drops what a command returns. So
the exit code is decided here, and errors are one line.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from keyword import iskeyword
from typing import Any

from resample.commands import Interrupted, Invocation, finish_output, say, warn
from resample.types import Exit, StoreFailed, UserError

COMMANDS = {
    "run": "transcripts -> rollouts -> verdicts -> summary; the same `out` resumes",
    "import": "foreign logs -> canonical JSONL",
    "report": "one run or a whole sweep -> tables",
    "fidelity": "how well simulated tool outputs pass for recorded ones",
    "purge": "remove a transcript from a run",
    "standin": "serve the offline stand-in on a port",
}

_OPEN_KEYS = re.compile(
    r"^(\w+\.(params|headers|options)|standin\.rates|select\.(where|without|strata)|scrub\.patterns)[.=]"
)
"""Keys under which anything may be set: Hydra would ask for a `+` before each."""


def main(argv: Sequence[str] | None = None) -> int:
    """The program. Returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words or words[0] in ("-h", "--help"):
            say(_usage())
            return Exit.DONE
        if words[0] == "--version":
            say(f"resample {_version()}")
            return Exit.DONE
        if words[0] not in COMMANDS:
            near = difflib.get_close_matches(words[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"commands: {', '.join(COMMANDS)}"
            raise UserError(f"unknown command {words[0]!r}; {hint}")
        return _run_command(words[0], words[1:])
    except UserError as error:
        return _complain(" ".join(["resample", *words[:1]]), str(error), Exit.USAGE)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:
        return _internal(error)
    finally:
        finish_output()


def _run_command(command: str, words: list[str]) -> int:
    """Let Hydra compose the config, and the command run once per job; the highest exit code counts."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from resample.config import register
    from resample.paths import bundled

    register()
    words = [_open_key(word) for word in _overrides_last(words)]
    swept = _swept_keys(words)
    codes: list[int] = []

    def job(config: Any) -> None:
        runtime = HydraConfig.get()
        overrides = [str(word) for word in OmegaConf.to_container(runtime.overrides.task, resolve=False) or ()]
        in_sweep = runtime.mode == RunMode.MULTIRUN
        invocation = Invocation(
            overrides,
            str(runtime.sweep.dir) if in_sweep else None,
            [word for word in overrides if word.lstrip("+~").split("=")[0] in swept],
        )
        codes.append(_perform(command, config, invocation))
        if codes[-1] in (Exit.INTERRUPTED, Exit.TERMINATED):
            raise Interrupted(codes[-1])  # and with it the rest of a sweep

    try:
        with _hydra_argv(command, words):
            hydra.main(version_base=None, config_path=str(bundled("conf")), config_name=command)(job)()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise UserError(_one_line(error)) from None
    except Interrupted as error:
        codes.append(int(str(error.code)))
    except BrokenPipeError:  # whoever read the help has read enough
        codes.append(Exit.DONE)
    except SystemExit as error:  # --help and the like
        codes.append(error.code if isinstance(error.code, int) else Exit.DONE)
    return max(codes, default=Exit.DONE)


def _perform(command: str, config: Any, invocation: Invocation) -> int:
    """One job. Its bad input ends this job, not the sweep it belongs to."""
    from sqlite3 import DatabaseError

    from resample.config_checks import check_keys

    try:
        check_keys(config)
        perform: Callable[[Any, Invocation], int] = import_module(_module_of(command)).perform
        return perform(config, invocation)
    except UserError as error:
        where = f" ({', '.join(invocation.swept)})" if invocation.swept else ""
        return _complain(f"resample {command}{where}", str(error), Exit.USAGE)
    except DatabaseError as error:
        return _complain(f"resample {command}", f"the run's run.sqlite cannot be read: {error}", Exit.USAGE)
    except StoreFailed as error:
        return _complain(f"resample {command}", f"{error}; the same command goes on", Exit.INCOMPLETE)
    except Interrupted:
        raise
    except (Exception, SystemExit) as error:  # here, or Hydra would print a text of its own
        return _internal(error)


def _module_of(command: str) -> str:
    """`import` is no name that a module can be imported by."""
    return f"resample.commands.{command}{'_' if iskeyword(command) else ''}"


def _internal(error: BaseException) -> int:
    if os.environ.get("RESAMPLE_TRACEBACK"):
        traceback.print_exception(error)
    text = f"internal error: {type(error).__name__}: {error} (RESAMPLE_TRACEBACK=1 shows where)"
    return _complain("resample", text, Exit.INTERNAL)


@contextmanager
def _hydra_argv(command: str, words: Sequence[str]) -> Iterator[None]:
    """Hydra reads the command line itself, says several lines of usage, and shows tracebacks unless told to raise."""
    argv, full, complain = sys.argv, os.environ.get("HYDRA_FULL_ERROR"), argparse.ArgumentParser.error
    sys.argv = [f"resample {command}", *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    argparse.ArgumentParser.error = _refuse  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        sys.argv = argv
        argparse.ArgumentParser.error = complain  # type: ignore[method-assign]
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full


def _refuse(parser: argparse.ArgumentParser, message: str) -> None:
    raise UserError(message)


def _open_key(word: str) -> str:
    return f"++{word}" if _OPEN_KEYS.match(word) and "=" in word else word


_WITH_VALUE = {"--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p", "--cfg", "-c"}


def _overrides_last(words: Sequence[str]) -> list[str]:
    """Hydra's parser takes overrides in one piece only: `out=x --config-dir d seed=1` would not do."""
    options: list[str] = []
    overrides: list[str] = []
    before = ""
    for word in words:
        (overrides if _is_override(word) and before not in _WITH_VALUE else options).append(word)
        before = word
    if before in _WITH_VALUE:
        raise UserError(f"{before}: its value is missing")
    return [*options, *overrides]


def _swept_keys(words: Sequence[str]) -> set[str]:
    """The keys that a sweep varies; none outside a sweep."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if not {"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(words):
        return set()
    try:
        parsed = OverridesParser.create().parse_overrides([word for word in words if _is_override(word)])
    except HydraException:
        return set()  # Hydra itself will say what is wrong
    return {override.key_or_group for override in parsed if override.is_sweep_override()}


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word.startswith("~"))


def _one_line(error: BaseException) -> str:
    """Hydra's and OmegaConf's texts run over several lines, and their cause often says more than they do."""
    texts = [str(error)] + ([str(error.__cause__)] if error.__cause__ else [])
    unknown = re.search(r"Key '([^']+)' (?:is not in struct|not in '(\w+)')", " ".join(texts))
    if unknown:
        key = re.search(r"full_key: (\S+)", " ".join(texts))
        return f"unknown key {key[1] if key else unknown[1]!r}; `--cfg job` shows the keys there are"
    texts = [text.split("Config search path:")[0] for text in texts]
    if "override_grammar" in texts[0]:
        shown = " ".join(texts[0].split("See https://")[0].replace("'++", "'").split()).rstrip("^ ")
        return f"{shown}: a value with special characters needs quotes within the shell's: 'key=\"value\"'"
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not re.match(r"(full_key|object_type|reference_type)\b", line)]
    return "; ".join(dict.fromkeys(lines))


def _complain(who: str, text: str, code: Exit) -> int:
    from resample.models.failures import shorten

    warn(f"{who}: {shorten(text, 2000)}")
    return code


def _version() -> str:
    try:
        return version("resample-engine")
    except PackageNotFoundError:
        return "(not installed)"


def _usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "resample: how often would this model misbehave in real agent traffic?\n\n"
        f"usage: resample COMMAND [key=value ...]\n\n{rows}\n\n"
        "resample COMMAND --help shows its keys; -m sweeps; --config-dir adds your own groups."
    )
