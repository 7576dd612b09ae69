"""A Ray cluster of two nodes of one core each on this machine, until stdin ends.

Prints its address. A line on stdin kills the second node as a power cut would, and is answered by another.
"""

import socket
import sys

from ray.cluster_utils import Cluster


def ports(*names):
    """A free port for each; Ray gives a node 15 seconds to find them itself, which a busy machine does not have."""
    sockets = [socket.socket() for _ in names]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return found


def main():
    cluster = Cluster()
    try:
        for _ in range(2):
            agents = ports(
                "metrics_agent_port", "metrics_export_port", "runtime_env_agent_port", "dashboard_agent_listen_port"
            )
            node = cluster.add_node(num_cpus=1, include_dashboard=False, **agents)
        print(cluster.address, flush=True)
        for _ in sys.stdin:
            cluster.remove_node(node, allow_graceful=False)
            print("killed", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
