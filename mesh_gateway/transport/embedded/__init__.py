"""The built-in durable transport: every channel in one SQLite file, one writer, group commit.

Reading order: `options.py` (what a document may say), `transport.py` (the contract), `channel.py`
(what is known of a channel in memory: its newest events, its groups), `subscription.py` (a group's
reading), `cursor.py` (which events of a channel a group has settled: pure), `writer.py` (the one
thread that touches the file), `store.py` (schema and SQL).

May import: the contract, `wire`, `event`, `errors`; apsw and pydantic only here.
"""
