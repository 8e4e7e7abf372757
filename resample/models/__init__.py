"""Talking to LLMs: one request in, one reply or one named failure out.

`wire` and `failures` are pure: bytes to replies, statuses to faults. `openai_sdk` and `litellm_sdk` make
one attempt each. `retry`, `limits`, `budget` and `price` know no transport. `endpoint` joins them behind
`resample.types.ChatModel`. `addresses` and `redaction` say how servers and failures may be shown.
"""
