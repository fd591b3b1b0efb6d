"""What a test runs as the first process of a node: it furnishes it, leaves a process behind, and goes or stays."""

import errno
import json
import subprocess
import sys
import time
from pathlib import Path

from proof.cluster import node

(given,) = sys.argv[1:]
order = json.loads(given)
node.furnish(Path(order["work"]))
cgroup = Path(order["cgroup"])
(cgroup / "pods" / "one").mkdir(parents=True)
# Nobody ends it but the node.
left = subprocess.Popen(["sleep", order["name"]], start_new_session=True)
(cgroup / "pods" / "one" / "cgroup.procs").write_text(str(left.pid))
subprocess.run(["iptables", "-A", "INPUT", "-m", "comment", "--comment", "of the node", "-j", "ACCEPT"], check=True)
seen = {name: Path("/proc/sys", name).read_text().strip() for name in ("kernel/panic", "vm/overcommit_memory")}
seen["/var/lib"] = str([path.name for path in Path("/var/lib").iterdir()])
try:
    Path("/opt", order["name"]).mkdir()
except OSError as error:
    seen["/opt"] = "read-only" if error.errno == errno.EROFS else str(error)
Path(order["report"]).write_text(json.dumps(seen))
time.sleep(order["stay"])
