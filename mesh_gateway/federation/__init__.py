"""Broker to Broker: relays between gateways, and what keeps an event from being lost, doubled or sent round in circles.

    sender:   source broker's log ─▶ outbox ─▶ transfer ─▶ ┄ link ┄ ─▶ verdicts ─▶ settled, or dead letters
    receiver: transfer ─▶ inbox: looped? refused? duplicate? else accepted ─▶ one commit: events and what was seen

Reading order: `transfer.py` (what crosses, and what is said of it), `via.py` (the loop guard), `outbox.py` with
`rate.py` (the sender's duty), `inbox.py` with `seen.py`, `identity.py` and `window.py` (the receiver's judgement),
`offers.py` (asking before sending, where several ways lead to one broker). These are pure: no I/O, the time is passed
in, and a deterministic simulator (`tests/federation/simulator.py`) holds them to what `docs/federation.md` guarantees.
Around them: `relay.py` (one relay) with `intake.py` (its reading), `sender.py` (its transfers) and `contact.py` (its
target, as last heard of), `target.py` with `remote.py` and `local.py` (where it sends to), `encoding.py` with
`ranges.py`, `answers.py` and `terms.py` (a transfer over HTTP, what is answered, and how a receiver wants it),
`receiver.py` with `lanes.py` and `memory.py` (one broker's receiver), `sieve.py` (second copies, found when read),
`counters.py`.

May import: `broker`, `delivery`, `transport`, `filters`, `wire`, `event`, `errors`.
"""
