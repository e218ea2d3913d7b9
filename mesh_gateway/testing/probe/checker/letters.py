"""Dead letters: the event as it was, whose it is, why, and after how many attempts."""

from __future__ import annotations

from collections.abc import Iterator

from mesh_gateway.testing.probe.checker.anomaly import Anomaly, proof
from mesh_gateway.testing.probe.checker.facts import Facts, Got


def bad(facts: Facts) -> Iterator[Anomaly]:
    """Dead letters that say what is not so."""
    for where, letters in facts.letters.items():
        for letter in letters:
            for fault in _faults(facts, letter):
                what = f"the dead letter of {letter.ev} and {letter.trigger} {fault}"
                yield Anomaly("DLQ-BAD", what, letter.trigger, letter.ev, proof(facts.lines(*where)))


def _faults(facts: Facts, letter: Got) -> Iterator[str]:
    trigger, ev, _ = letter.copy
    said = letter.recv
    most = 1 + facts.triggers[trigger].retry
    if said["hash"] != f"ok {facts.sent[ev].hash}":
        yield f"is not the event that was sent: {said['hash']}"
    if not said.get("reason"):
        yield "has no reason"
    attempts = said.get("attempts", "")
    if not attempts.isdecimal() or not 1 <= int(attempts) <= most:
        yield f"speaks of {attempts or 'no'} attempts, with at most {most} allowed"
        return
    tries = _tries(facts, letter)
    until = int(facts.history[-1]["t"]) if letter.stored else letter.t
    if facts.disturbed(facts.sent[ev].begun, until):
        return  # attempts that never arrived, or were forgotten by a crash: what it says need not be what we saw
    if not tries:
        yield "was written without any attempt"
    elif all(got.taken for got in tries) and not any("reply" in (got.answer or ()) for got in tries):
        yield "was written although it was taken"
    elif int(attempts) != len(tries):
        yield f"speaks of {attempts} attempts, and {len(tries)} came"
    elif (code := _code(tries[-1])) != said.get("lcode", ""):
        yield f"has the code {said.get('lcode', '') or 'none'}, and the last answer was {code or 'none'}"


def _tries(facts: Facts, letter: Got) -> list[Got]:
    """The attempts that came before it, of the same copy."""
    return [
        got
        for got in facts.got.get((letter.trigger, letter.ev), ())
        if got.copy == letter.copy and (letter.stored or got.t <= letter.t)
    ]


def _code(got: Got) -> str:
    """What a dead letter after this attempt has as its code; empty where there was no whole answer."""
    if got.answer is None or got.answer["how"] not in ("fail", "refuse", "accept", "reply"):
        return ""
    return str(got.answer["code"])
