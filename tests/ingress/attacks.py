"""What a hostile or broken client sends, byte by byte: the corpus of `test_corpus.py` and `tests/faults/test_hostile_clients.py`.

Behind every attack stands a valid event. A server that reads the attack differently than the
proxy before it would take that event for a request of its own.
"""

from __future__ import annotations

from tests.ingress.serving import chunked, event, event_lines, head

HIDDEN = event("smuggled")
VALID = event_lines("1")
LINE = b"POST /shop/orders HTTP/1.1\r\n"
EVENT = "\r\n".join(VALID).encode() + b"\r\n"


def with_line(line: bytes) -> bytes:
    """A valid event but for one raw header line."""
    return LINE + b"host: a\r\n" + EVENT + line + b"\r\n\r\n"


def with_chunks(body: bytes) -> bytes:
    return head(*VALID, "transfer-encoding: chunked") + body


REFUSED: dict[str, bytes] = {
    # two framings
    "length and chunked": head(*VALID, "content-length: 4", "transfer-encoding: chunked") + b"0\r\n\r\n",
    "chunked and length": head(*VALID, "transfer-encoding: chunked", "content-length: 4") + b"0\r\n\r\n",
    "two lengths that differ": head(*VALID, "content-length: 0", "content-length: 5"),
    "two lengths that agree": head(*VALID, "content-length: 0", "content-length: 0"),
    "a list of lengths": head(*VALID, "content-length: 0, 0"),
    "a length with a sign": head(*VALID, "content-length: +0"),
    "a negative length": head(*VALID, "content-length: -1"),
    "a hexadecimal length": head(*VALID, "content-length: 0x0"),
    "a length with an underscore": head(*VALID, "content-length: 1_0"),
    "a length with a point": head(*VALID, "content-length: 1.0"),
    "a length that overflows": head(*VALID, "content-length: 18446744073709551616"),
    "a length of nineteen digits": head(*VALID, "content-length: 1000000000000000000"),
    "an empty length": head(*VALID, "content-length:"),
    "a length in arabic digits": with_line("content-length: ٠".encode()),
    "a length behind a blank name": with_line(b"content-length : 0"),
    # transfer codings
    "identity coding": head(*VALID, "transfer-encoding: identity"),
    "gzip coding": head(*VALID, "transfer-encoding: gzip"),
    "gzip then chunked": head(*VALID, "transfer-encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked then identity": head(*VALID, "transfer-encoding: chunked, identity") + b"0\r\n\r\n",
    "chunked twice": head(*VALID, "transfer-encoding: chunked, chunked") + b"0\r\n\r\n",
    "two codings": head(*VALID, "transfer-encoding: chunked", "transfer-encoding: chunked") + b"0\r\n\r\n",
    "xchunked": head(*VALID, "transfer-encoding: xchunked") + b"0\r\n\r\n",
    "quoted chunked": head(*VALID, 'transfer-encoding: "chunked"') + b"0\r\n\r\n",
    "chunked with a parameter": head(*VALID, "transfer-encoding: chunked;q=1") + b"0\r\n\r\n",
    "vertical tab before chunked": with_line(b"transfer-encoding: \x0bchunked") + b"0\r\n\r\n",
    "an empty coding": head(*VALID, "transfer-encoding:"),
    "chunked in HTTP/1.0": head(*VALID, "transfer-encoding: chunked", version="HTTP/1.0") + b"0\r\n\r\n",
    # line ends and folding
    "folded with a blank": with_line(b"x: a\r\n b"),
    "folded with a tab": with_line(b"x: a\r\n\tb"),
    "folded empty value": with_line(b"x:\r\n b"),
    "folded first line": LINE + b" host: a\r\n" + EVENT + b"\r\n",
    "folded length": with_line(b"content-length:\r\n 0"),
    "bare LF between headers": with_line(b"x: a\ny: b"),
    "bare LF after the request line": LINE[:-2] + b"\nhost: a\r\n" + EVENT + b"\r\n",
    "bare LF everywhere": (LINE + b"host: a\r\n" + EVENT + b"\r\n").replace(b"\r\n", b"\n"),
    "bare LF at the end of the head": LINE + b"host: a\r\n" + EVENT + b"\n",
    "bare CR in a value": with_line(b"x: a\rb"),
    "bare CR before CR LF": with_line(b"x: a\r"),
    "bare CR as a line end": with_line(b"x: a\ry: b"),
    "LF CR": with_line(b"x: a\n\ry: b"),
    "two empty lines before": b"\r\n\r\n" + head(*VALID),
    "a bare LF before": b"\n" + head(*VALID),
    "a bare CR before": b"\r" + head(*VALID),
    # characters
    "NUL in a value": with_line(b"x: a\x00b"),
    "NUL in a name": with_line(b"x\x00y: a"),
    "NUL in the target": LINE.replace(b"orders", b"ord\x00ers") + b"host: a\r\n\r\n",
    "a control character in a value": with_line(b"x: a\x01b"),
    "DEL in a value": with_line(b"x: a\x7fb"),
    "a blank in a name": with_line(b"x y: a"),
    "a blank before the colon": with_line(b"x : a"),
    "a tab before the colon": with_line(b"x\t: a"),
    "a header without a colon": with_line(b"x"),
    "a header without a name": with_line(b": a"),
    "a name that is not ASCII": with_line("x\u00e9: a".encode()),
    "a name with a bracket": with_line(b"x(y): a"),
    # the request line
    "two blanks in the request line": LINE.replace(b"POST ", b"POST  ") + b"host: a\r\n" + EVENT + b"\r\n",
    "a tab in the request line": LINE.replace(b" HTTP", b"\tHTTP") + b"host: a\r\n" + EVENT + b"\r\n",
    "a blank after the version": LINE[:-2] + b" \r\nhost: a\r\n" + EVENT + b"\r\n",
    "a blank before the method": b" " + LINE + b"host: a\r\n" + EVENT + b"\r\n",
    "a blank in the target": LINE.replace(b"/orders", b"/or ders") + b"host: a\r\n" + EVENT + b"\r\n",
    "bytes over 127 in the target": LINE.replace(b"orders", b"ord\xffers") + b"host: a\r\n" + EVENT + b"\r\n",
    "no target": b"POST HTTP/1.1\r\nhost: a\r\n\r\n",
    "HTTP/0.9": b"GET /shop/orders\r\n",
    "HTTP/0.9 with headers": b"POST /shop/orders\r\nhost: a\r\n" + EVENT + b"\r\n",
    "HTTP/1.2": head(*VALID, version="HTTP/1.2"),
    "HTTP/2.0": head(*VALID, version="HTTP/2.0"),
    "HTTP/11": head(*VALID, version="HTTP/11"),
    "HTTP/1.10": head(*VALID, version="HTTP/1.10"),
    "http in lower case": head(*VALID, version="http/1.1"),
    "another protocol": head(*VALID, version="RTSP/1.0"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a PROXY line": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
    "an unknown method": head(*VALID, method="SMUGGLE"),
    "a method in lower case": head(*VALID, method="post"),
    # hosts
    "no host": head(*VALID, host=None),
    "two hosts": head(*VALID, "host: b"),
    "the same host twice": head(*VALID, "Host: a"),
    "an empty host": head(*VALID, host=""),
    "a host with a blank": head(*VALID, host="a b"),
    "a host with a path": head(*VALID, host="a/b"),
    "a host with a user": head(*VALID, host="u@a"),
    # what may stand once
    "two ids": head(*VALID, "ce-id: 2"),
    "the same id twice in other letters": head(*VALID, "CE-ID: 1"),
    "two extensions": head(*VALID, "ce-x: 1", "ce-x: 1"),
    "two content types": head(*VALID, "content-type: a/b", "content-type: application/cloudevents+json"),
    "two expectations": head(*VALID, "expect: 100-continue", "expect: 100-continue"),
    "two ids beside a structured event": head(
        "ce-id: 1", "ce-id: 2", "content-type: application/cloudevents+json"
    ),
    # chunks
    "a chunk size that is no number": with_chunks(b"x\r\n"),
    "a signed chunk size": with_chunks(b"+1\r\na\r\n0\r\n\r\n"),
    "a chunk size with 0x": with_chunks(b"0x1\r\na\r\n0\r\n\r\n"),
    "an empty chunk size": with_chunks(b"\r\na\r\n0\r\n\r\n"),
    "a chunk size that overflows": with_chunks(b"10000000000000001\r\na\r\n0\r\n\r\n"),
    "a blank behind a chunk size": with_chunks(b"1 \r\na\r\n0\r\n\r\n"),
    "bare LF behind a chunk size": with_chunks(b"1\na\n0\n\n"),
    "bare LF in a chunk extension": with_chunks(b"1;\n\r\na\r\n0\r\n\r\n"),
    "bare CR in a chunk extension": with_chunks(b"1;a\rb\r\na\r\n0\r\n\r\n"),
    "NUL in a chunk extension": with_chunks(b"1;\x00\r\na\r\n0\r\n\r\n"),
    "an extension without end": with_chunks(b"1;" + b"x" * 2_000 + b"\r\na\r\n0\r\n\r\n"),
    "a chunk longer than its size": with_chunks(b"1\r\nab\r\n0\r\n\r\n"),
    "a chunk shorter than its size": with_chunks(b"3\r\na\r\n0\r\n\r\n"),
    "a chunk without its line end": with_chunks(b"1\r\na0\r\n\r\n"),
    "bare LF behind a chunk": with_chunks(b"1\r\na\n0\r\n\r\n"),
    "a last chunk with bare LF": with_chunks(b"1\r\na\r\n0\n\n"),
    "a trailer without a colon": with_chunks(b"0\r\nx\r\n\r\n"),
    "a folded trailer": with_chunks(b"0\r\nx: y\r\n z\r\n\r\n"),
    "a trailer with NUL": with_chunks(b"0\r\nx: \x00\r\n\r\n"),
    # too much
    "a head without end": LINE + b"host: a\r\nx: " + b"y" * 40_000,
    "a target without end": b"POST /" + b"x" * 40_000,
    "headers without end": LINE + b"host: a\r\n" + b"a: b\r\n" * 6_000,
    "a hundred and one headers": head(*[f"x{index}: 1" for index in range(100)]),
    "a header over 8 KiB": head(*VALID, "x: " + "y" * 8_192),
    "a body over the limit": head(*VALID, "content-length: 1048577"),
    "an empty line without end": b"\r\n" * 20_000,
    # tunnels and expectations
    "CONNECT": head(method="CONNECT", path="a:443"),
    "CONNECT to a broker": head(*VALID, "content-length: 0", method="CONNECT", path="/shop/orders"),
    "another expectation": head(*VALID, "expect: 200-ok", "content-length: 1048576"),
}
"""The connection must close by itself, and no event be stored."""


def with_host(*rest: bytes) -> bytes:
    """A valid event whose header lines are given raw, behind its Host."""
    return LINE + b"host: a\r\n" + EVENT + b"".join(line + b"\r\n" for line in rest) + b"\r\n"


def request_line(line: bytes) -> bytes:
    return line + b"\r\nhost: a\r\n" + EVENT + b"\r\n"


LONG = b"x" * 1_200

REFUSED |= {
    # two framings, hidden from a parser that reads names or values loosely
    "length and chunked with a blank name": with_host(b"content-length: 4", b"transfer-encoding : chunked"),
    "length and chunked in other letters": with_host(b"CONTENT-LENGTH: 4", b"Transfer-ENCODING: CHUNKED"),
    "length and an unknown coding": with_host(b"content-length: 4", b"transfer-encoding: x"),
    "length and an empty coding": with_host(b"content-length: 4", b"transfer-encoding:"),
    "length and identity": with_host(b"content-length: 4", b"transfer-encoding: identity"),
    "length and a folded coding": with_host(b"content-length: 4", b"transfer-encoding:\r\n chunked"),
    "length and a coding behind a bare CR": with_host(
        b"content-length: 4", b"x: y\rtransfer-encoding: chunked"
    ),
    "length and a coding behind a bare LF": with_host(
        b"content-length: 4", b"x: y\ntransfer-encoding: chunked"
    ),
    "length and a coding behind NUL": with_host(b"content-length: 4", b"x: y\0transfer-encoding: chunked"),
    "two lengths in other letters": with_host(b"Content-Length: 0", b"content-length: 4"),
    "two lengths, one behind a blank name": with_host(b"content-length: 0", b"content-length : 4"),
    "three lengths": with_host(b"content-length: 0", b"content-length: 0", b"content-length: 0"),
    "a length and a list": with_host(b"content-length: 0", b"content-length: 0, 4"),
    # lengths
    "a length with a blank inside": with_host(b"content-length: 1 0"),
    "a length with a tab inside": with_host(b"content-length: 1\t0"),
    "a length with an exponent": with_host(b"content-length: 1e1"),
    "a length with a comma behind": with_host(b"content-length: 0,"),
    "a length with a comma before": with_host(b"content-length: ,0"),
    "a length with a semicolon": with_host(b"content-length: 0;a"),
    "a quoted length": with_host(b'content-length: "0"'),
    "a length with a unit": with_host(b"content-length: 0b"),
    "an octal length": with_host(b"content-length: 0o7"),
    "a length of letters": with_host(b"content-length: zero"),
    "a length with NUL": with_host(b"content-length: 0\0"),
    "a length with DEL": with_host(b"content-length: 0\x7f"),
    "a length with a vertical tab": with_host(b"content-length: \x0b0"),
    "a length with a form feed": with_host(b"content-length: 0\x0c"),
    "a length with a no-break space": with_host(b"content-length: \xa00"),
    "a length in full-width digits": with_host("content-length: \uff10".encode()),
    "a length with a superscript": with_host("content-length: 0\u00b2".encode()),
    "a length one over 64 bits": with_host(b"content-length: 18446744073709551617"),
    "a length one over 63 bits": with_host(b"content-length: 9223372036854775808"),
    "a length of a thousand digits": with_host(b"content-length: " + b"9" * 1_000),
    "two signs": with_host(b"content-length: --0"),
    # transfer codings
    "chunked with a blank inside": with_host(b"transfer-encoding: chun ked") + b"0\r\n\r\n",
    "chunked with a comma behind": with_host(b"transfer-encoding: chunked,") + b"0\r\n\r\n",
    "chunked with a comma before": with_host(b"transfer-encoding: ,chunked") + b"0\r\n\r\n",
    "chunked with NUL": with_host(b"transfer-encoding: chunked\0") + b"0\r\n\r\n",
    "chunked with a form feed": with_host(b"transfer-encoding: chunked\x0c") + b"0\r\n\r\n",
    "chunked with a no-break space": with_host(b"transfer-encoding: \xa0chunked") + b"0\r\n\r\n",
    "chunked with a Kelvin sign": with_host("transfer-encoding: chun\u212aed".encode()) + b"0\r\n\r\n",
    "chunked in single quotes": with_host(b"transfer-encoding: 'chunked'") + b"0\r\n\r\n",
    "chunked behind a colon": with_host(b"transfer-encoding:: chunked") + b"0\r\n\r\n",
    "chunkedx": with_host(b"transfer-encoding: chunkedx") + b"0\r\n\r\n",
    "deflate": with_host(b"transfer-encoding: deflate"),
    "trailers as a coding": with_host(b"transfer-encoding: trailers"),
    "chunked then gzip in two headers": with_host(b"transfer-encoding: chunked", b"transfer-encoding: gzip"),
    "gzip then chunked in two headers": with_host(b"transfer-encoding: gzip", b"transfer-encoding: chunked"),
    # chunks
    "a chunk size with a blank before": with_chunks(b" 1\r\na\r\n0\r\n\r\n"),
    "a chunk size with a tab behind": with_chunks(b"1\t\r\na\r\n0\r\n\r\n"),
    "a chunk size with a comma": with_chunks(b"1,1\r\na\r\n0\r\n\r\n"),
    "a chunk size with an underscore": with_chunks(b"1_0\r\na\r\n0\r\n\r\n"),
    "a chunk size with a letter behind": with_chunks(b"1g\r\na\r\n0\r\n\r\n"),
    "a chunk size in full-width digits": with_chunks("\uff11\r\na\r\n0\r\n\r\n".encode()),
    "a negative chunk size": with_chunks(b"-1\r\na\r\n0\r\n\r\n"),
    "a quoted chunk size": with_chunks(b'"1"\r\na\r\n0\r\n\r\n'),
    "a chunk size of NUL": with_chunks(b"\0\r\na\r\n0\r\n\r\n"),
    "a chunk size with NUL behind": with_chunks(b"1\0\r\na\r\n0\r\n\r\n"),
    "a chunk size of sixty-four bits": with_chunks(b"ffffffffffffffff\r\na\r\n0\r\n\r\n"),
    "a chunk size that wraps to one": with_chunks(b"100000000000000000000000000000001\r\na\r\n0\r\n\r\n"),
    "a chunk size over the limit": with_chunks(b"100001\r\na"),
    "chunk sizes that are over the limit together": with_chunks(b"1\r\na\r\n100000\r\n"),
    "a chunk that ends with CR CR LF": with_chunks(b"1\r\na\r\r\n0\r\n\r\n"),
    "a chunk that ends with LF CR": with_chunks(b"1\r\na\n\r0\r\n\r\n"),
    "a chunk that ends with two blanks": with_chunks(b"1\r\na  0\r\n\r\n"),
    "a chunk size that ends with CR": with_chunks(b"1\ra\r\n0\r\n\r\n"),
    "a chunk size that ends with CR CR LF": with_chunks(b"1\r\r\na\r\n0\r\n\r\n"),
    "a chunk extension with a bare LF that hides a chunk": with_chunks(b"2;a\nxx\r\nab\r\n0\r\n\r\n"),
    "a chunk extension with a line separator": with_chunks(b"1;\x0b\r\na\r\n0\r\n\r\n"),
    "a chunk extension with DEL": with_chunks(b"1;\x7f\r\na\r\n0\r\n\r\n"),
    "a chunk extension with ESC": with_chunks(b"1;\x1b[2J\r\na\r\n0\r\n\r\n"),
    "a trailer that is too long": with_chunks(b"0\r\nx: " + LONG + b"\r\n\r\n"),
    "a trailer without end": with_chunks(b"0\r\nx: " + b"y" * 5_000),
    "trailers without end": with_chunks(b"0\r\n" + b"x: y\r\n" * 20_000),
    "extensions without end": with_chunks(b"1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n" * 4_000),
    "a trailer with a blank in its name": with_chunks(b"0\r\nx y: z\r\n\r\n"),
    "a trailer with a blank before its colon": with_chunks(b"0\r\nx : z\r\n\r\n"),
    "a trailer with bare LF": with_chunks(b"0\r\nx: y\n\r\n"),
    "a trailer with bare CR": with_chunks(b"0\r\nx: y\rz\r\n\r\n"),
    "a trailer that begins with a blank": with_chunks(b"0\r\n x: y\r\n\r\n"),
    "a trailer with ESC": with_chunks(b"0\r\nx: \x1b\r\n\r\n"),
    "a trailer without a name": with_chunks(b"0\r\n: y\r\n\r\n"),
    # header lines
    "ESC in a value": with_host(b"x: \x1b[2J"),
    "a vertical tab in a value": with_host(b"x: a\x0bb"),
    "a form feed in a value": with_host(b"x: a\x0cb"),
    "a bell in a ce value": with_host(b"ce-x: a\x07b"),
    "a vertical tab in a name": with_host(b"x\x0b: a"),
    "a no-break space before the colon": with_host(b"x\xa0: a"),
    "a quote in a name": with_host(b'"x": a'),
    "a comma in a name": with_host(b"x,y: a"),
    "a semicolon in a name": with_host(b"x;y: a"),
    "a slash in a name": with_host(b"x/y: a"),
    "an at sign in a name": with_host(b"x@y: a"),
    "an equals sign for the colon": with_host(b"content-length=0"),
    "a name of a blank": with_host(b" : a"),
    "a full-width colon": with_host("x\uff1a a".encode()),
    "a byte order mark before the request": b"\xef\xbb\xbf" + head(*VALID),
    "a line of blanks": with_host(b"  "),
    "a line of one tab": with_host(b"\t"),
    "a folded line behind Host": LINE + b"host: a\r\n b\r\n" + EVENT + b"\r\n",
    "a folded ce value": with_host(b"ce-x: a\r\n\tb"),
    "CR CR LF behind a line": with_host(b"x: a\r"),
    "CR CR LF at the end of the head": LINE + b"host: a\r\n" + EVENT + b"\r\r\n",
    "LF LF at the end of the head": LINE + b"host: a\r\n" + EVENT[:-2] + b"\n\n",
    "NUL behind the head's last line": LINE + b"host: a\r\n" + EVENT + b"\0\r\n",
    # what may stand once
    "two ids in structured mode's letters": with_host(b"Ce-Id: 2"),
    "two specversions": with_host(b"ce-specversion: 1.0"),
    "two sources": with_host(b"ce-source: /other"),
    "two types": with_host(b"ce-type: other"),
    "two times": with_host(b"ce-time: 2026-01-01T00:00:00Z", b"ce-time: 2026-01-01T00:00:00Z"),
    "two content encodings": with_host(b"content-encoding: identity", b"content-encoding: gzip"),
    "two authorizations": with_host(b"authorization: Bearer a", b"authorization: Bearer b"),
    "two headers of a transfer": with_host(b"mesh-transfer: 1", b"mesh-transfer: 1"),
    # hosts
    "a host with a query": head(*VALID, host="a?b"),
    "a host with a fragment": head(*VALID, host="a#b"),
    "a host with a backslash": head(*VALID, host="a\\b"),
    "a host with NUL": LINE + b"host: a\0b\r\n" + EVENT + b"\r\n",
    "a host with bytes over 127": LINE + b"host: a\xff\r\n" + EVENT + b"\r\n",
    "a host with a quote": head(*VALID, host='a"b'),
    "a host in angle brackets": head(*VALID, host="<a>"),
    "a host of blanks": LINE + b"host:   \r\n" + EVENT + b"\r\n",
    "two hosts in other letters": head(*VALID, "HOST: b"),
    "a host behind a blank name": LINE + b"host : a\r\n" + EVENT + b"\r\n",
    # the request line
    "no version": request_line(b"POST /shop/orders"),
    "no method": request_line(b"/shop/orders HTTP/1.1"),
    "four words": request_line(b"POST /shop/orders x HTTP/1.1"),
    "a colon in the method": request_line(b"PO:ST /shop/orders HTTP/1.1"),
    "NUL in the method": request_line(b"PO\0ST /shop/orders HTTP/1.1"),
    "a CR in the target": request_line(b"POST /shop/or\rders HTTP/1.1"),
    "a tab in the target": request_line(b"POST /shop/or\tders HTTP/1.1"),
    "DEL in the target": request_line(b"POST /shop/or\x7fders HTTP/1.1"),
    "a vertical tab for a blank": request_line(b"POST\x0b/shop/orders HTTP/1.1"),
    "a no-break space for a blank": request_line(b"POST\xa0/shop/orders HTTP/1.1"),
    "HTTP/1": request_line(b"POST /shop/orders HTTP/1"),
    "HTTP/1.": request_line(b"POST /shop/orders HTTP/1."),
    "HTTP/1,1": request_line(b"POST /shop/orders HTTP/1,1"),
    "HTTP/01.1": request_line(b"POST /shop/orders HTTP/01.1"),
    "HTTP/1.1 and letters": request_line(b"POST /shop/orders HTTP/1.1x"),
    "HTTP/0.9 by name": request_line(b"POST /shop/orders HTTP/0.9"),
    "HTTP/3": request_line(b"POST /shop/orders HTTP/3.0"),
    "HTTP/-1.1": request_line(b"POST /shop/orders HTTP/-1.1"),
    "HTTPS/1.1": request_line(b"POST /shop/orders HTTPS/1.1"),
    "a response": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "a chunk by itself": b"5\r\nhello\r\n0\r\n\r\n",
    "a Redis command": b"*1\r\n$4\r\nPING\r\n",
    "a mail greeting": b"EHLO example.com\r\n",
    "a request of gRPC": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    # too much
    "five thousand short headers": LINE + b"host: a\r\n" + b"a:\r\n" * 5_000 + b"\r\n",
    "a name over 8 KiB": with_host(b"x" * 8_200 + b": y"),
    "a ce value over 8 KiB": with_host(b"ce-x: " + b"y" * 8_192),
    "a target over 32 KiB": request_line(b"POST /shop/orders?" + b"x" * 33_000 + b" HTTP/1.1"),
    "a length far over the limit": with_host(b"content-length: 999999999999999999"),
}

TRUNCATED = {
    "nothing": b"",
    "half a request line": b"POST /shop",
    "half a head": head(*VALID)[:-2],
    "a lone CR": b"\r",
    "half a body": head(*VALID, "content-length: 100") + b"x" * 99,
    "half a chunk": with_chunks(b"5\r\nabc"),
    "chunks without the last": with_chunks(b"1\r\na\r\n"),
    "a last chunk without its end": with_chunks(b"1\r\na\r\n0\r\n"),
}
"""The client closes in the middle: nothing of it is an event."""

SWALLOWED = {
    "a request in a body": (head(*VALID, f"content-length: {len(HIDDEN)}") + HIDDEN, HIDDEN),
    "a request in a chunk": (chunked("1", HIDDEN), HIDDEN),
    "a request over two chunks": (chunked("1", HIDDEN[:30], HIDDEN[30:]), HIDDEN),
    "a chunked ending in a body": (head(*VALID, "content-length: 5") + b"0\r\n\r\n", b"0\r\n\r\n"),
    "a trailer that names a length": (with_chunks(b"1\r\na\r\n0\r\nx-content-length: 9\r\n\r\n"), b"a"),
    "an upgrade with a body": (
        head(*VALID, "connection: upgrade", "upgrade: h2c", f"content-length: {len(HIDDEN)}") + HIDDEN,
        HIDDEN,
    ),
    "an upgrade without a body": (head(*VALID, "connection: upgrade", "upgrade: websocket"), None),
}
"""Valid requests whose bodies look like requests: one event each, with exactly that body."""
