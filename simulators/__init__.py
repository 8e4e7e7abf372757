"""Implementations of ToolSimulator. None of them executes anything.

A rung of the ladder is a simulator whose sessions may say that they do not know (`Unknown`); the ladder asks its
rungs in turn, truest first.
"""
