"""Servers that tests and demos run against, started natively without Docker and without installing anything.

Reading order: `command.py` (the verbs), `node.py` (one server process: start, stop, kill), `home.py` (where
things lie, and ports), then one module for each kind: `kafka.py`, `rabbitmq.py`, `sqs.py`, and `maven.py`,
`debian.py` (where their programs come from), `containers.py` (the same with an engine). Standard library
only: this runs before anything is set up.
"""
