"""Broker to Broker: relays between gateways, and what keeps an event from being lost, doubled or sent round in circles.

    sender:   source broker's log ─▶ outbox ─▶ transfer ─▶ ┄ link ┄ ─▶ verdicts ─▶ settled, or dead letters
    receiver: transfer ─▶ inbox: looped? refused? duplicate? else accepted ─▶ one commit: events and what was seen

`via`, `seen`, `window`, `inbox` and `outbox` are pure: no I/O, the time is passed in. They are held to the
guarantees of design 9 by a deterministic simulator (`tests/federation/simulator.py`).
"""
