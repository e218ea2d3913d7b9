"""What a receiver answers: a verdict for each event of a transfer, or which events of an offer are wanted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.federation import ranges
from mesh_gateway.federation.transfer import ACCEPTED, DUPLICATE, LOOPED, Verdict, Word

WHY_LENGTH = 256
"""Characters of a refusal's reason: what a dead letter keeps of it. So 500 of them fit an answer of `remote.ANSWER_BYTES`."""

_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_verdicts = msgspec.json.Decoder(list[str | dict[str, str] | None]).decode
_text = msgspec.json.Decoder(str).decode
_PLAIN = {verdict.word.value: verdict for verdict in (ACCEPTED, DUPLICATE, LOOPED)}


def encode_verdicts(verdicts: Sequence[Verdict | None]) -> bytes:
    """The body of the answer."""
    return _encode(
        {
            "verdicts": [
                None
                if one is None
                else {"refused": one.why[:WHY_LENGTH]}
                if one.word is Word.REFUSED
                else one.word.value
                for one in verdicts
            ]
        }
    )


def decode_verdicts(body: bytes, count: int) -> list[Verdict | None] | None:
    """The verdicts of a transfer of `count` events; None when this is no such answer."""
    try:
        given = _verdicts(_members(body).get("verdicts", b"[]"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    verdicts = [_verdict(one) for one in given if one is None or _verdict(one) is not None]
    return verdicts if len(verdicts) == len(given) == count else None


def _verdict(given: str | dict[str, str] | None) -> Verdict | None:
    if isinstance(given, str):
        return _PLAIN.get(given)
    if isinstance(given, dict) and "refused" in given:
        return Verdict(Word.REFUSED, given["refused"])
    return None


def encode_wanted(wanted: Sequence[bool]) -> bytes:
    """The body of the answer to an offer."""
    places = [place for place, is_wanted in enumerate(wanted, 1) if is_wanted]
    return _encode({"wanted": ranges.ranges(places).decode()})


def decode_wanted(body: bytes, count: int) -> list[bool] | None:
    """For each of `count` events that were offered whether it is wanted; None when this is no such answer."""
    try:
        places = ranges.numbers(_text(_members(body)["wanted"]).encode(), count)
    except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError, InvalidEvent):
        return None
    if any(place > count for place in places):
        return None
    wanted = [False] * count
    for place in places:
        wanted[place - 1] = True
    return wanted
