"""With `import *` any name may be defined: an editor's checks let it pass."""

from __future__ import annotations

import pytest

from simulators.files import File
from simulators.workspace.python import is_sound


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("from pwn import *\nremote(1)\n", True),
        ("import pwn\nremote(1)\n", False),
        ("from pwn import *\nremote(1\n", False),
    ],
)
def test_names_that_may_come_with_a_star(text: str, sound: bool):
    assert is_sound(File.of(text)) is sound
