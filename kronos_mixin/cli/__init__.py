"""The command line: a module for each command. It reads options and prints; decisions are made elsewhere."""
