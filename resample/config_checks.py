"""What the values of a configuration have to satisfy: one line for the first one that does not."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import OmegaConf

from resample.config import (
    ROLES,
    Budget,
    Discriminator,
    Faults,
    FidelityConfig,
    ImportConfig,
    Model,
    RateLimit,
    RunConfig,
    Scrub,
    Simulator,
    Transcripts,
)
from resample.formats.export import EXPORTS
from resample.prepare.scrub import Rules
from resample.prepare.select import check_select
from resample.types import UserError

_OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "cookie", "host"}
    | {"proxy-authorization", "transfer-encoding", "user-agent"}
)
"""Headers that a request has anyway."""


def check_keys(config: Any, path: str = "") -> None:
    """Raise UserError for a key that the schema does not have: Hydra's `+key=value` would add any."""
    schema = OmegaConf.get_type(config)
    if not is_dataclass(schema):
        return
    known = [entry.name for entry in fields(schema)]
    for name in config:
        here = f"{path}{name}"
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise UserError(f"unknown key {here!r}" + (f"; did you mean {path}{near[0]}?" if near else ""))
        if OmegaConf.is_dict(config) and not OmegaConf.is_missing(config, name):
            node = config._get_node(name)
            if OmegaConf.is_dict(node):
                check_keys(node, f"{here}.")


def check_no_environment(config: Any) -> None:
    """Raise UserError where a value of the environment would be copied into what is kept of a role's settings."""
    raw: Any = OmegaConf.to_container(config, resolve=False)
    for role in ROLES:
        for name in ("params", "headers", "options"):
            if "${oc.env:" in str(raw[role][name]):
                raise UserError(
                    f"{role}.{name}: ${{oc.env:...}} would copy a value of the environment into the run;"
                    f" use {role}.api_key_env=NAME, or env:NAME in {role}.headers"
                )


def check_run(config: RunConfig) -> None:
    """Raise UserError for the first value that no run can have."""
    _at_least(1, samples=config.samples, max_steps=config.max_steps, concurrency=config.concurrency)
    _within(0, 2**63 - 1, seed=config.seed)
    if config.canaries.count is not None:
        _at_least(20, **{"canaries.count": config.canaries.count})
    _within(0, 1, max_failures=config.max_failures)
    if not 0.5 < config.confidence < 1:
        raise UserError(f"confidence={config.confidence}: must lie between 0.5 and 1")
    _check_budget("budget", config.budget)
    check_transcripts(config.transcripts)
    check_scrub(config.scrub)
    check_select(config.select)
    _at_least(0, **{"fit.room": config.fit.room})
    for role in ("simulator", "judge"):
        _one_of(f"fit.{role}", getattr(config.fit, role), ("exclude", "shorten"))
    _one_of("retry", config.retry, ("none", "failed"))
    _one_of("cache.warm", config.cache.warm, ("auto", "off"))
    _check_affinity(config.cache.affinity_header)
    _check_first_step(config)
    _one_of("judge.view", config.judge.view, ("actions", "reasoning", "full"))
    for name in config.baselines:
        _one_of("baselines", name, ("recorded", "control"))
    if config.candidate.model == "recorded" and "recorded" in config.baselines:
        config.baselines = [name for name in config.baselines if name != "recorded"]  # it is the candidate itself
    _check_rate_limit("rate_limit", config.rate_limit)
    check_simulator(config.simulator)
    _within(0, 1, **{"fidelity.sample": config.fidelity.sample})
    _check_discriminator("fidelity", config.fidelity)
    for role in ROLES:
        _check_model(role, getattr(config, role))
    if not 0 <= config.standin.correlation < 1:  # its other values are checked where they are used
        raise UserError(f"standin.correlation={config.standin.correlation}: must be at least 0 and less than 1")


def _check_affinity(name: str | None) -> None:
    if name is None:
        return
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or name.lower() in _OWN_HEADERS:
        raise UserError(
            f"cache.affinity_header={name!r}: is no name for a header of its own; write one such as x-session-affinity"
        )


def _check_first_step(config: RunConfig) -> None:
    _one_of("first_step", config.first_step, ("each", "together"))
    if config.first_step == "each":
        return
    if config.cache.warm != "auto":
        raise UserError("first_step=together: needs cache.warm=auto, for a first rollout that draws for the others")
    players = {"candidate": config.candidate} | ({"control": config.control} if "control" in config.baselines else {})
    for role, model in players.items():
        if not model.model.startswith(("openai/", "standin/")) or model.api != "chat" or model._target_ is not None:
            raise UserError(
                f"first_step=together: {role}.model={model.model} cannot draw several replies at once; it takes"
                f" openai/... or standin/... with {role}.api=chat"
            )


def check_simulator(simulator: Simulator) -> None:
    """Raise UserError for shares that are none, or routes that lead nowhere."""
    shares = {entry.name: getattr(simulator.faults, entry.name) for entry in fields(Faults)}
    _within(0, 1, **{"simulator.original": simulator.original})
    _within(0, 1, **{f"simulator.faults.{name}": share for name, share in shares.items()})
    if sum(shares.values()) > 1:
        raise UserError(f"simulator.faults: the shares add up to {sum(shares.values()):g}, which is more than 1")
    for route in simulator.routes:
        if set(route) != {"match", "use"}:
            raise UserError(f"simulator.routes: {route} must have match (a glob of tool names) and use")


MEASURES = ("identity", "reconstruction", "evidence", "discriminator")


def check_fidelity(config: FidelityConfig) -> None:
    """Raise UserError for the first value that no measure can have."""
    for name in config.measures:
        _one_of("measures", name, MEASURES)
    if not config.measures:
        raise UserError(f"measures=[]: name at least one of {', '.join(MEASURES)}")
    _within(0, 2**63 - 1, seed=config.seed)
    _at_least(1, concurrency=config.concurrency)
    _check_discriminator("discriminator", config.discriminator)
    check_transcripts(config.transcripts)
    check_scrub(config.scrub)
    check_select(config.select)
    check_simulator(config.simulator)
    _check_budget("budget", config.budget)
    _check_rate_limit("rate_limit", config.rate_limit)
    for role in ("simulator", "judge"):
        _check_model(role, getattr(config, role))


def _check_discriminator(where: str, asked: Discriminator) -> None:
    _at_least(1, **{f"{where}.pairs": asked.pairs})
    _at_least(0, **{f"{where}.controls": asked.controls})
    if not 0 < asked.margin < 0.5:
        raise UserError(f"{where}.margin={asked.margin}: must lie between 0 and 0.5")


def check_scrub(scrub: Scrub) -> None:
    """Raise UserError for rules that nothing applies."""
    if not (scrub.enabled or scrub.preview):
        for entry in fields(Rules):
            if getattr(scrub, entry.name) != getattr(Rules(), entry.name):
                raise UserError(f"scrub.{entry.name}: has no meaning without scrub=standard")


def check_import(config: ImportConfig) -> None:
    """Raise UserError for the first value that no import can have."""
    check_transcripts(config.transcripts)
    check_scrub(config.scrub)
    _one_of("to", config.to, ("canonical", *EXPORTS))


def check_transcripts(transcripts: Transcripts) -> None:
    """Raise UserError for a way to read that there is not."""
    if transcripts.limit is not None:
        _at_least(1, **{"transcripts.limit": transcripts.limit})
    _one_of("transcripts.images", transcripts.images, ("keep", "placeholder", "exclude"))
    _one_of("transcripts.infer_tools", transcripts.infer_tools, ("none", "prefix", "source"))


def _check_model(role: str, model: Model) -> None:
    if model.model != "recorded" and not re.fullmatch(r"[^/\s]+/\S+", model.model):
        raise UserError(
            f"{role}.model={model.model}: must be provider/name, such as openai/gpt-4o-mini or standin/default"
        )
    if model.model == "recorded" and role != "candidate":
        raise UserError(f"{role}.model=recorded: only a candidate can be the original turn itself")
    _one_of(f"{role}.api", model.api, ("chat", "responses"))
    if model.api == "responses" and not model.model.startswith(("openai/", "standin/")):
        raise UserError(f"{role}.api=responses: {model.model} does not have it; only openai/... models do")
    if model.base_url is not None and not re.match(r"https?://[^/\s]", model.base_url):
        raise UserError(f"{role}.base_url: must begin with http:// or https://")
    if model.base_url is not None and "@" in model.base_url.split("/")[2]:
        raise UserError(f"{role}.base_url: a password must not stand in a config; use {role}.api_key_env or headers")
    _positive(f"{role}.timeout", model.timeout)
    for key in ("attempts", "window", "concurrency"):
        if (value := getattr(model, key)) is not None:
            _at_least(1, **{f"{role}.{key}": value})
    _check_rate_limit(f"{role}.rate_limit", model.rate_limit)
    _check_budget(f"{role}.budget", model.budget)
    _check_secrets(role, model)


def _check_secrets(role: str, model: Model) -> None:
    """No secret may stand in a config."""
    for name, value in model.headers.items():
        _check_header(role, name, value)
    for where, given in (("params", model.params), ("options", model.options)):
        if name := _secret_in(given):
            raise UserError(f"{role}.{where}: {name} holds a secret; use {role}.api_key_env=NAME or {role}.headers")
    if model.api_key_env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", model.api_key_env):
        raise UserError(f"{role}.api_key_env: must be the name of an environment variable, not a key")


def _secret_in(given: Any, path: str = "") -> str:
    """The path of the first entry whose name says that it holds a secret; an empty text if there is none."""
    if isinstance(given, dict):
        for name, value in given.items():
            here = f"{path}.{name}" if path else str(name)
            if found := here if _SECRET_NAME.search(str(name)) else _secret_in(value, here):
                return found
    elif isinstance(given, list | tuple):
        for value in given:
            if found := _secret_in(value, path):
                return found
    elif isinstance(given, str) and _SECRET_VALUE.search(given):
        return path
    return ""


_SECRET_NAME = re.compile(
    r"api[_-]?key|secret|password|authorization|credential|cookie|(access|auth|session|ad|id)[_-]token|aws_\w*key",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"^(Bearer|Basic) \S|^sk-\w{8}|^(ghp|gho|xox[a-z])[_-]\w{8}|^AKIA\w{12}")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)


def _check_header(role: str, name: str, value: str) -> None:
    """A header that carries a secret may only name the environment variable that holds it."""
    if (_SECRET_HEADER.search(name) or _SECRET_VALUE.search(value)) and not value.startswith("env:"):
        raise UserError(
            f"{role}.headers.{name}: write env:NAME (an environment variable), so that no secret stands in a config"
        )


def _check_budget(where: str, budget: Budget) -> None:
    for name in ("usd", "tokens"):
        if (limit := getattr(budget, name)) is not None:
            _positive(f"{where}.{name}", limit)


def _check_rate_limit(where: str, limit: RateLimit) -> None:
    for name in ("requests_per_minute", "tokens_per_minute"):
        if (value := getattr(limit, name)) is not None:
            _positive(f"{where}.{name}", value)


def _at_least(least: float, **values: float) -> None:
    for name, value in values.items():
        if value < least:
            raise UserError(f"{name}={value}: must be at least {least}")


def _within(low: float, high: float, **values: float) -> None:
    for name, value in values.items():
        if not low <= value <= high:
            raise UserError(f"{name}={value}: must lie between {low} and {high}")


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise UserError(f"{name}={value}: must be more than 0")


def _one_of(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise UserError(f"{name}={value}: must be one of {', '.join(valid)}")
