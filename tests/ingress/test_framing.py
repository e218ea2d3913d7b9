"""What is taken from a head, and chunked bodies in any pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.ingress import framing
from mesh_gateway.ingress.bodies import ChunkedBody
from mesh_gateway.ingress.framing import Malformed, read_head
from mesh_gateway.ingress.limits import IngressLimits
from tests.ingress.serving import head

LIMITS = IngressLimits()


def test_names_come_in_lower_case_and_values_without_white_space_around_them() -> None:
    read = read_head(head("Ce-ID: \t a b\t ", "X-EMPTY:", "x-utf: \u00fc"), LIMITS)
    assert read.headers == [(b"host", b"a"), (b"ce-id", b"a b"), (b"x-empty", b""), (b"x-utf", b"\xfc")]
    assert (read.method, read.target, read.length, read.chunked) == (b"POST", b"/shop/orders", 0, False)


def test_the_memory_of_names_is_bounded() -> None:
    for index in range(framing.MAX_NAMES + 50):
        read_head(head(f"X-Flood-{index}: 1"), LIMITS)
    assert len(framing._lower) <= framing.MAX_NAMES
    assert read_head(head("X-After-The-Flood: 1"), LIMITS).headers[1] == (b"x-after-the-flood", b"1")


def test_repeated_attributes_are_all_named() -> None:
    with pytest.raises(Malformed, match="ce-id, ce-type"):
        read_head(head("ce-id: 1", "ce-id: 1", "ce-type: t", "CE-Type: t"), LIMITS)


def test_other_headers_may_repeat() -> None:
    assert len(read_head(head("accept: a", "accept: b"), LIMITS).headers) == 3


def test_length_and_coding_are_read() -> None:
    assert read_head(head("content-length: 0012 "), LIMITS).length == 12
    assert read_head(head("transfer-encoding: Chunked"), LIMITS).chunked


@given(
    parts=st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    extension=st.sampled_from([b"", b";a", b';a="b c"']),
    trailers=st.sampled_from([b"", b"x: y\r\n", b"a:\r\nb: c\r\n"]),
    cuts=st.lists(st.integers(0, 400), max_size=12),
)
def test_a_chunked_body_is_the_same_in_any_pieces(
    parts: list[bytes], extension: bytes, trailers: bytes, cuts: list[int]
) -> None:
    raw = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    raw += b"0\r\n" + trailers + b"\r\n"
    behind = b"POST /next"
    whole = raw + behind
    body = ChunkedBody(1_000)
    buffer, complete = b"", False
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    for start, end in itertools.pairwise(places):
        buffer += whole[start:end]
        if not complete:
            at, complete = body.feed(buffer, 0)
            buffer = buffer[at:]
    assert complete
    assert bytes(body.data) == b"".join(parts)
    assert buffer == behind


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"0x1\r\na\r\n",
        b"1 \r\na\r\n",
        b" 1\r\na\r\n",
        b"1\na\r\n",
        b"1\rx\na\r\n",
        b"1;a\x00\r\na\r\n",
        b"1;a\nb\r\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na0\r\n\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"10000000000000000\r\n",
        b"FFFFFFFFFFFFFFFF\r\n",
        b"0\r\nx\r\n\r\n",
        b"0\r\n x: y\r\n\r\n",
        b"0\r\nx : y\r\n\r\n",
        b"0\r\nx: \x00\r\n\r\n",
        b"0\r\nx: y\r\n folded\r\n\r\n",
        b"0\r\n\nx",
        b"1;" + b"x" * 1_100,
        b"1;" + b"x" * 1_100 + b"\r\na",
        b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
        "١\r\na\r\n".encode(),
    ],
)
def test_a_bad_chunked_body_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        ChunkedBody(100).feed(raw, 0)
    assert caught.value.answer.status in (400, 413)


@pytest.mark.parametrize(
    "line", [b"1;" + b"x" * 1_000 + b"\r\na\r\n", b"0\r\n" + (b"x: " + b"y" * 1_000 + b"\r\n") * 100]
)
def test_a_body_of_frame_without_data_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed, match="more frame than data"):
        ChunkedBody(100_000).feed(line * 100, 0)


def test_chunks_of_one_byte_are_allowed() -> None:
    body = ChunkedBody(100_000)
    assert body.feed(b"1\r\na\r\n" * 8_000 + b"0\r\n\r\n", 0)[1]
    assert len(body.data) == 8_000


@pytest.mark.parametrize(
    "raw",
    [
        b"1\r\na\r\n" * 10_000,
        b"100000\r\n" + b"a" * 2**20 + b"\r\n0\r\n" + b"a:\r\n" * 50_000,
    ],
    ids=["chunks", "trailers"],
)
def test_a_body_of_very_many_lines_is_refused_before_it_has_cost_seconds(raw: bytes) -> None:
    with pytest.raises(Malformed, match="too many chunks"):
        ChunkedBody(2**20).feed(raw, 0)


def test_a_large_body_in_chunks_of_an_ordinary_line_is_allowed() -> None:
    body = ChunkedBody(10 * 2**20)
    assert body.feed((b"80\r\n" + b"a" * 128 + b"\r\n") * 80_000 + b"0\r\n\r\n", 0)[1]
