"""The tests of the conformance kit, by what they are about.

Reading order: `messages.py` (an event comes back as it went), `deliveries.py` (settle, release,
positions, order), `groups.py` (members, starts), `lifecycle.py` (open, close, ensure, check, conduct), `capabilities.py` (what is declared is true),
`faults.py` (servers restart, connections break, doors stay shut).
"""
