"""The Kronos mixin: one metric contract, and the tools that compile and check what is built on it."""

__version__ = "0.1.0"
