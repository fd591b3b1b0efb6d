"""The command line of kronos_mixin, from a checkout: `python build.py compile`, `python build.py check`."""

from kronos_mixin.__main__ import main

main()
