"""What helps a provider's prompt cache: requests over the same prefix say so, and say where it ends.

Nothing here changes what a model is asked.
"""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

from resample.types import ChatRequest

AFFINITY_HEADER = "x-session-affinity"
"""By it a router in front of a server's replicas sends all requests over one prefix to the same one."""


def prefix_key(request: ChatRequest) -> str | None:
    """The same for all requests over one prefix and its tools, in every run; None where nothing is shared."""
    prefix, tools = request.prefix, request.tools
    if not prefix.items:
        return None
    return prefix.derive(
        ("prefix key", tools.digest), lambda: hashlib.sha256(prefix.digest + tools.digest).hexdigest()[:32]
    )


def is_openai(address: str) -> bool:
    """Whether an address is of OpenAI's own server, which knows `prompt_cache_key`; others may reject it."""
    host = (urlsplit(address).hostname or "").rstrip(".").lower()
    return host == "api.openai.com" or host.endswith(".api.openai.com")
