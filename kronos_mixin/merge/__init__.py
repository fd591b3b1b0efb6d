"""Brings a mixin into the prometheus.yml of a central Prometheus, and takes it out again, touching nothing else.

`plan` says what would change and changes it, `splice` edits the text, `validate` and `reload` ask those who read it.
"""
