"""From a role's config to its model: transports, keys, prices, and what the models of all roles share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from resample import config as configs
from resample.models.budget import Budget
from resample.models.endpoint import Endpoint, Transport, preflight
from resample.models.limits import Limits, Window
from resample.models.price import FREE, Price, price_of
from resample.models.redaction import public_name
from resample.models.retry import Patience
from resample.models.warmth import Away, Warmth
from resample.plan import STANDIN, Plan
from resample.plug_ins import plug_in
from resample.store import Store
from resample.types import Arm, ChatModel, ChatRequest, Role, RolloutKey, Shared, UserError

_PER_MILLION = 1e-6


class Shares:
    """What the models of all roles share."""

    def __init__(
        self,
        config: configs.RunConfig | configs.FidelityConfig,
        standin_url: str,
        cache: configs.Cache,
        away: Away = nullcontext,
    ) -> None:
        """Where requests wait for the first one over their prefix, they do so inside `away`."""
        rate = config.rate_limit
        self.limits = Limits(config.concurrency, rate.requests_per_minute, rate.tokens_per_minute)
        self.budget = Budget(config.budget.usd, config.budget.tokens)
        self.pool = config.concurrency
        self._windows: dict[tuple[str | None, ...], Window] = {}
        self.standin_url = standin_url
        self.cache = cache
        self.away = away

    def window(self, model: configs.Model) -> Window:
        """Of the server that answers for a model; one for all roles that use the same server and key."""
        asked = (model.model.partition("/")[0], model.base_url, model.api_key_env)
        return self._windows.setdefault(asked, Window(self.pool))


def model_of(role: Role, model: configs.Model, shares: Shares) -> ChatModel:
    """The model of a role. Raises UserError for a missing key, an unknown provider, or a budget without a price."""
    if role in (Role.CANDIDATE, Role.CONTROL) and model._target_ is not None:
        own_model: ChatModel = plug_in(role, model, {"model": model.model, "params": model.params})
        return own_model
    own = model.rate_limit
    limits = Limits(
        model.concurrency,
        own.requests_per_minute,
        own.tokens_per_minute,
        window=shares.window(model),
        within=shares.limits,
    )
    return Endpoint(
        _transport(role, model, shares),
        limits=limits,
        budget=Budget(model.budget.usd, model.budget.tokens, within=shares.budget),
        price=price_for(role, model),
        patience=Patience(attempts=model.attempts),
        warmth=Warmth(shares.away) if shares.cache.warm == "auto" else None,
    )


def _transport(role: Role, model: configs.Model, shares: Shares) -> Transport:
    from resample.models.openai_sdk import DEFAULT_KEY_NAME, OpenAITransport

    provider, _, name = model.model.partition("/")
    common: dict[str, Any] = {
        "timeout": model.timeout,
        "params": model.params,
        "headers": _headers(role, model),
    }
    own: dict[str, Any] = {"pool": shares.pool, "api": model.api, "affinity_header": shares.cache.affinity_header}
    if model.model.startswith(STANDIN):
        return OpenAITransport(name, base_url=shares.standin_url, **common, **own)
    key_name = model.api_key_env
    if provider == "openai":
        if key_name is None and model.base_url is None:
            key_name = DEFAULT_KEY_NAME
        key = _environment(role, key_name) if key_name else None
        return OpenAITransport(name, base_url=model.base_url, api_key=key, key_name=key_name, **common, **own)
    from resample.models.litellm_sdk import LiteLLMTransport

    key = _environment(role, key_name) if key_name else None
    return LiteLLMTransport(model.model, base_url=model.base_url, api_key=key, key_name=key_name, **common)


def _headers(role: Role, model: configs.Model) -> dict[str, str]:
    return {
        name: _environment(role, value.removeprefix("env:")) if value.startswith("env:") else value
        for name, value in model.headers.items()
    }


def _environment(role: Role, name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UserError(f"{role}: the environment variable {public_name(name)} is not set; it has to hold the key")
    return value


def price_for(role: Role, model: configs.Model) -> Price | None:
    own = model.price
    if own.prompt is not None or own.cached is not None or own.completion is not None:
        if own.prompt is None or own.completion is None:
            raise UserError(f"{role}.price: give both prompt and completion, in USD per million tokens")
        cached = own.prompt if own.cached is None else own.cached
        return Price(own.prompt * _PER_MILLION, cached * _PER_MILLION, own.completion * _PER_MILLION)
    return FREE if model.model.startswith(STANDIN) else price_of(model.model)


async def preflight_all(plan: Plan, store: Store, models: Mapping[Role, ChatModel]) -> None:
    """One small request per role; what it cost is kept like any other call."""
    for role, model in models.items():
        if not isinstance(model, Endpoint) or plan.roles[role].model.startswith(STANDIN):
            continue
        reply = await preflight(model, role)
        request = ChatRequest(role, Shared())
        store.put_reply(RolloutKey("preflight", Arm.CANDIDATE, 0), request, "preflight", reply)
