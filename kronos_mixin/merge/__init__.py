"""Brings a mixin into the prometheus.yml of a central Prometheus, and takes it out again, touching nothing else.

`plan` says what would change, `validate` what promtool thinks of it, `apply` does it. `splice` edits the text.
"""
