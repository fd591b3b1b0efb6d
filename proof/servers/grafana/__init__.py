"""A stand-in for Grafana: the part of its HTTP API that our tool uses, over data sources that are real.

No package has a Grafana server to test with. Tests hold what this answers with to the types that Grafana publishes
for Python. What those don't have (search, data sources) is as in Grafana's OpenAPI document.
"""

from proof.servers.grafana.server import Grafana
from proof.servers.grafana.store import Kept

__all__ = ["Grafana", "Kept"]
