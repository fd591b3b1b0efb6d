"""Static checks of a mixin.

`ours` checks the Kronos mixin against its metric contract, `others` any mixin without one.
"""
