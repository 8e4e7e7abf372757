"""litellm as transport: every provider that is not OpenAI-compatible, in the same replies and failures."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar

import orjson

from resample.models.addresses import check_address, public_address
from resample.models.failures import Failure, Peer
from resample.models.prompt_cache import set_breakpoints
from resample.models.redaction import header_secrets, public_name, secrets_in
from resample.models.responses import ITEMS
from resample.models.wire import (
    REASONING,
    BrokenReply,
    check_headers,
    check_params,
    max_completion,
    request_kwargs,
    without,
)
from resample.types import ChatRequest, Fault, Reply, UserError

_NO_KEY = "none"
"""Sent to a server of the user's own where no key is named: litellm would look for one in the environment."""

_OTHER_CREDENTIALS = frozenset(
    {"bedrock", "bedrock_converse", "sagemaker", "sagemaker_chat", "vertex_ai", "vertex_ai_beta"}
    | {"ollama", "ollama_chat", "github_copilot", "chatgpt", "watsonx", "oci"}
)
"""Providers that find credentials in files, roles or log-ins, or need none: no variable is missed."""

_OF_CLAUDE = frozenset({"anthropic", "bedrock", "vertex_ai", "vertex_ai_beta", "azure_ai"})
"""Providers that have Anthropic's models, among others."""

_TAKE_REASONING = frozenset(
    {"deepseek", "moonshot", "zai", "minimax", "gemini", "vertex_ai", "vertex_ai_beta"}
    | {"openrouter", "hosted_vllm", "lm_studio", "litellm_proxy"}
)
"""Providers that take a model's reasoning back from it, and for some of whose models it must be given back."""

_OWN_CACHING = ("cache_control", "cache_control_injection_points")
"""Params by which a user says what is cached."""

_REDIRECT = "x-not-followed"
"""Where a redirect wanted to go, in a header that litellm's clients do not follow."""

_PREAMBLE = re.compile(r"^(?:(?:litellm\.)?\w*(?:Error|Timeout): *)*(?:\w+Exception - *)?")
"""What litellm writes before a provider's message."""


@cache
def load() -> Any:
    """The litellm module, told to stay off the network and out of `.env` files, and to be quiet."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"] = "True"
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    litellm: Any = importlib.import_module("litellm")
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_hf_tokenizer_download = True
    litellm.drop_params = True
    litellm.num_retries = 0
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # it would repeat failures, with prompts
    _follow_no_redirects()
    return litellm


def _follow_no_redirects() -> None:
    """litellm's clients would follow redirects, with the prompt and the headers, and no setting keeps them from it."""
    transport: Any = importlib.import_module("litellm.llms.custom_httpx.aiohttp_transport").LiteLLMAiohttpTransport
    handle = transport.handle_async_request

    async def handle_async_request(self: Any, request: Any) -> Any:
        response = await handle(self, request)
        if response.has_redirect_location:
            response.headers[_REDIRECT] = response.headers.pop("location")
        return response

    transport.handle_async_request = handle_async_request


def check_provider(model: str, *, keyed: bool = False) -> str:
    """The provider litellm would ask for a model, without asking it.

    Raises UserError for a provider that litellm does not know, and, unless `keyed` (a key or an address of
    the user's own is given), for missing environment variables.
    """
    litellm = load()
    provider = model.partition("/")[0]
    if provider not in {str(getattr(known, "value", known)) for known in litellm.provider_list}:
        provider = _provider_by_name(model)
    if keyed or provider in _OTHER_CREDENTIALS:
        return provider
    if missing := litellm.validate_environment(model)["missing_keys"]:
        raise UserError(f"{model}: {provider} needs {', '.join(missing)} in the environment: set it")
    return provider


def _provider_by_name(model: str) -> str:
    litellm = load()
    try:
        return str(litellm.get_llm_provider(model)[1])
    except litellm.BadRequestError:
        pass
    raise UserError(f"{model}: no such provider; write provider/name, such as anthropic/... or gemini/...")


def is_claude(provider: str, model: str) -> bool:
    """Whether Anthropic's rules hold: signed thinking, and caches that end where they are told to."""
    return provider == "anthropic" or (provider in _OF_CLAUDE and "claude" in model.lower())


def reasoning_left_out(provider: str, model: str) -> frozenset[str]:
    """What a model is not sent back of its own reasoning: Anthropic takes only what it signed, others nothing."""
    if is_claude(provider, model):
        return frozenset(REASONING) - {"thinking_blocks"}
    return frozenset({ITEMS} if provider in _TAKE_REASONING else REASONING)


class LiteLLMTransport:
    """One attempt per `send`."""

    _open: ClassVar[int] = 0
    """Transports in use: litellm's clients belong to all of them."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        key_name: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        """Address a model by litellm's name for it, `provider/name`; the rest as for OpenAITransport.

        Raises UserError for an unknown provider, missing environment variables, or params the engine decides.
        """
        provider = check_provider(model, keyed=bool(api_key or base_url))
        self.model = model
        self.params = dict(params or {})
        check_params(self.params)
        self.max_completion = max_completion(self.params)
        missing = None if base_url else f"the key for {provider} in the environment"
        self.key_name = public_name(key_name) if key_name else missing
        check_headers(dict(headers or {}) | ({self.key_name or "api_key": api_key} if api_key else {}))
        self.name = model
        self._call: dict[str, Any] = {"timeout": timeout, "num_retries": 0, "max_retries": 0}
        if base_url:
            check_address(base_url)
            self.name = f"{model} at {public_address(base_url)}"
            self._call["api_base"] = base_url
        if api_key or base_url:
            self._call["api_key"] = api_key or _NO_KEY
        if headers:
            self._call["extra_headers"] = dict(headers)
        ambient = [secret for secret in secrets_in(os.environ) if len(secret) >= 16]
        self._peer = Peer(self.name, (*filter(None, [api_key]), *header_secrets(headers or {}), *ambient))
        self._timeout = timeout
        self.heard: Callable[[Mapping[str, str]], None] = lambda headers: None
        self._started = False
        self._claude = is_claude(provider, model)
        self._left_out = reasoning_left_out(provider, model)

    def __repr__(self) -> str:
        return f"LiteLLMTransport({self.name})"

    async def send(self, request: ChatRequest) -> Reply:
        """One attempt. Raises Failure."""
        import openai

        if not self._started:
            self._started = True
            LiteLLMTransport._open += 1
        try:
            async with asyncio.timeout(self._timeout):
                response = await load().acompletion(**self._kwargs(request), **self._call)
            failure = None
        except openai.OpenAIError as error:  # litellm's errors are all of this kind
            failure = self._failure(error)
        except TimeoutError:
            failure = self._peer.unreachable(TimeoutError(f"no whole reply within {self._timeout:g} s"))
        if failure is not None:
            raise failure  # out here, without litellm's error as its context: that one may hold a key
        self.heard(_provider_headers(response))
        try:
            raw = _completion(response)
        except BrokenReply as error:
            failure = self._peer.broken(error)
        else:
            return self._peer.reply(raw)
        raise failure

    def _kwargs(self, request: ChatRequest) -> dict[str, Any]:
        request = without(self._left_out, request)
        kwargs = request_kwargs(self.model, request, self.params)
        if self._claude and not any(name in self.params for name in _OWN_CACHING):
            set_breakpoints(request, self.model, kwargs["messages"], kwargs.get("tools", []))
        return kwargs

    def _failure(self, error: Exception) -> Failure:
        import openai

        litellm = load()
        said = _PREAMBLE.sub("", str(getattr(error, "message", error))).partition("Traceback (most recent")[0]
        status = getattr(error, "status_code", None)
        if isinstance(error, openai.APIConnectionError) or not isinstance(status, int):
            return self._peer.unreachable(ConnectionError(said))
        if status < 300:
            return self._peer.broken(BrokenReply(said))
        headers = dict(getattr(error, "litellm_response_headers", None) or {})
        if _REDIRECT in headers:
            headers["location"] = headers[_REDIRECT]
        failure = self._peer.rejection(status, said, headers)
        for kind, fault in (
            (litellm.ContextWindowExceededError, Fault.CONTEXT),
            (litellm.ContentPolicyViolationError, Fault.REFUSED),
        ):
            if isinstance(error, kind):
                return Failure(fault, str(failure), status=status)
        return failure

    async def close(self) -> None:
        """Release connections, when no other transport needs litellm's clients."""
        if not self._started:
            return
        self._started = False
        LiteLLMTransport._open -= 1
        if LiteLLMTransport._open == 0:
            cleanup = importlib.import_module("litellm.llms.custom_httpx.async_client_cleanup")
            await cleanup.close_litellm_async_clients()
            load().in_memory_llm_clients_cache.flush_cache()


def _provider_headers(response: Any) -> dict[str, str]:
    """The provider's own headers, as litellm hands them on."""
    given = (getattr(response, "_hidden_params", None) or {}).get("additional_headers") or {}
    return {str(name).removeprefix("llm_provider-"): str(value) for name, value in given.items()}


def _completion(response: Any) -> bytes:
    """litellm's response as the JSON of a chat completion. Raises BrokenReply where it is none."""
    data = response.model_dump()
    for choice in data.get("choices") or ():
        message = choice.get("message") or {}
        # litellm moves fields it has no place for.
        for name, value in (message.get("provider_specific_fields") or {}).items():
            message.setdefault(name, value)
    try:
        return orjson.dumps(data, default=str)
    except orjson.JSONEncodeError:
        pass
    try:
        return json.dumps(data, default=str).encode()  # takes numbers of any size, and goes deeper
    except (ValueError, RecursionError) as error:
        raise BrokenReply(f"the reply is no JSON: {error}") from None
