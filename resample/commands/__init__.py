"""One module per command, each with `perform(config, invocation) -> exit code`."""
