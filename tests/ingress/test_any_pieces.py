"""Whatever the pieces in which requests arrive, and whenever they become durable: the same events, the same answers."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.event import Event
from mesh_gateway.ingress.limits import IngressCounters
from mesh_gateway.ingress.protocol import Connection
from mesh_gateway.ingress.responses import CONTINUE
from tests.ingress.memory import Home, Recorder, Wire
from tests.ingress.serving import chunked, event, event_lines, head, structured


def converse(pieces: Sequence[bytes], patience: Sequence[bool]) -> tuple[bytes, list[Event], IngressCounters]:
    """What is answered and stored when bytes come in these pieces; `patience` says after which of them
    nothing becomes durable.
    """
    broker = Recorder()
    home = Home(broker)
    connection = Connection(home)
    wire = Wire()
    connection.connection_made(wire)
    queue = list(pieces)
    for patient in itertools.chain(patience, itertools.repeat(object=False)):
        if queue and not wire.paused:
            connection.data_received(queue.pop(0))
        elif not broker.waiting:
            break
        if not patient:
            broker.finish()
    assert not queue
    assert home.endpoint.in_hand.bytes == 0
    assert home.endpoint.in_hand.requests == 0
    connection.connection_lost(None)
    return wire.written.replace(CONTINUE, b""), broker.events, home.counters


bodies = st.binary(max_size=60) | st.sampled_from([event("inner"), b"0\r\n\r\n", b"\r\n\r\n"])
requests = st.one_of(
    st.builds(event, st.sampled_from("123"), bodies),
    st.builds(event, st.just("e"), bodies, st.just("expect: 100-continue")),
    st.builds(chunked, st.sampled_from("456"), bodies.filter(bool), bodies.filter(bool)),
    st.builds(structured, st.sampled_from("789")),
    st.builds(lambda: structured("x", "y", batch=True)),
    st.builds(lambda: head(method="GET", path="/healthz")),
    st.builds(lambda: head(method="OPTIONS")),
    st.builds(lambda: head(*event_lines(source=None), "content-length: 0")),
    st.builds(lambda: b"\r\n" + event("n")),
)
lasts = st.sampled_from(
    [b"", event("z", b"", "connection: close"), b"GET\r\n\r\n", head(*event_lines(), host=None)]
)


@given(
    sent=st.lists(requests, min_size=1, max_size=5),
    last=lasts,
    cuts=st.lists(st.integers(0, 3_000), max_size=25),
    patience=st.lists(st.booleans(), max_size=60),
)
def test_pieces_and_delays_change_nothing(
    sent: list[bytes], last: bytes, cuts: list[int], patience: list[bool]
) -> None:
    whole = b"".join(sent) + last
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[start:end] for start, end in itertools.pairwise(places)]
    expected = converse([whole], [])
    actual = converse(pieces, patience)
    assert actual[0] == expected[0]
    assert actual[1] == expected[1]
    assert actual[2].responses == expected[2].responses
    assert actual[0].count(b"HTTP/1.1 ") == len(sent) + bool(last)


@given(st.lists(requests, min_size=1, max_size=3))
def test_every_single_byte_may_come_alone(sent: list[bytes]) -> None:
    whole = b"".join(sent)
    assert converse([bytes([byte]) for byte in whole], [])[:2] == converse([whole], [])[:2]
