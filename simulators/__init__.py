"""Implementations of ToolSimulator. None of them executes anything.

A rung of the ladder is a simulator whose sessions may say that they do not know (`Unknown`); the ladder asks its
rungs in turn, truest first: `recorded`, `workspace`, `llm`. What a call asks for is told by `operations`, what it
depends on and may change by `effects`, what is known of files by `files`, and what commands print by `shell`.
`fidelity` measures how well all of it passes for the real environment.
"""
