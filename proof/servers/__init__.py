"""Real programs for tests, found on PATH or unpacked from Debian's packages, started and stopped."""
