"""Adds a mixin to the prometheus.yml of a central Prometheus, and removes it again, changing nothing else.

`request` knows what is asked for, and `plan` computes the change: `conflicts` and `surroundings` say what stands in
its way, `edits` what users have changed since. `splice` edits the text, with `layout`, `blocks` and `flow`.
`validate` has promtool check it, `apply` makes it, and `loaded` asks a running Prometheus whether it runs it.
"""
