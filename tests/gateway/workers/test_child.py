"""What a worker does with what its parent gave it."""

from __future__ import annotations

import socket

from mesh_gateway.gateway.workers.child import handed


def test_no_process_that_a_plugin_starts_gets_the_sockets_of_a_worker():
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)  # as it is behind `exec`

    with ours, handed(str(theirs.detach())) as given:
        assert not given.get_inheritable()
