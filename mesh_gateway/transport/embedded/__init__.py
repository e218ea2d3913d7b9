"""The built-in durable transport: every channel in one SQLite file, one writer thread, group commit.

Reading order: `options.py` (what a document may say), `transport.py` (the contract), then on the event
loop's side `channel.py` (what is known of a channel in memory), `tail.py` (its newest events),
`group.py` and `subscription.py` (a group's reading), `cursor.py` (what a group has settled: pure),
and in the thread `writer.py` (the thread), `committer.py` (one round of jobs, one transaction),
`space.py` (a full disk, a second process), `upkeep.py` (removing what everybody has settled), `records.py`
(rows and events), `store.py` (the SQL), `memory.py` (what a channel remembers beside its events),
`schema.py` (how the file is opened and checked).

May import: the contract, `wire`, `event`, `errors`. apsw is imported only by the thread's rooms,
pydantic only by `options.py`.
"""
