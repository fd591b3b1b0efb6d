"""Adds a mixin to the prometheus.yml of a central Prometheus, and removes it again, changing nothing else.

`plan` computes the change, `validate` has promtool check it, `apply` makes it. `splice` edits the text.
"""
