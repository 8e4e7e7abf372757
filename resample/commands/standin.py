"""`resample standin`: serve the offline stand-in until interrupted."""

from __future__ import annotations

import signal
import threading
from typing import Any

from resample.commands import Invocation, say
from resample.types import Exit, UserError


def perform(config: Any, invocation: Invocation) -> int:
    """Serve. Returns the exit code once a signal came."""
    from omegaconf import OmegaConf

    from resample.build import standin_settings
    from resample.config import StandInConfig
    from resample.standin.server import start

    settings = OmegaConf.to_object(config)
    assert isinstance(settings, StandInConfig)
    if not 0 <= settings.port <= 65535:
        raise UserError(f"port={settings.port}: must lie between 0 and 65535")
    server = start(standin_settings(settings.standin, settings.seed), port=settings.port)
    say(
        f"stand-in at {server.base_url}: a mock by rule, not a model. Ctrl-C ends it.\n"
        f"try: resample run candidate.model=openai/default candidate.base_url={server.base_url}"
    )
    return _until_signal(server)


def _until_signal(server: Any) -> int:
    stopped = threading.Event()
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        received.append(number)
        stopped.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    while not stopped.wait(1.0):
        pass
    server.close()
    return Exit.INTERRUPTED if received[0] == signal.SIGINT else Exit.TERMINATED
