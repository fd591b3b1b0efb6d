"""The same rules, alerts, objectives, scrape jobs and dashboards in the formats of other tools: a module for each.

They read what was compiled, not Jsonnet, so they work with any mixin.
"""
