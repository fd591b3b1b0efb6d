"""The command line: one module a command, what they share in `options` and `say`. It decides nothing itself."""
