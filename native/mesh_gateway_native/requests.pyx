# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""A producer's usual request, read in one pass: its head, and the event whose attributes stand in it.

`plain_head` knows only what most producers send: POST to a plain path in HTTP/1.1, headers of printable ASCII, an event in
binary mode that breaks no rule. Of everything else, however slightly unusual, it says None; then the strict reading in Python
decides, refuses and explains. So nothing here may be more lenient than `mesh_gateway.ingress.framing`, `wire.http` and
`attributes`, and the event must be the one that they would have read. A generated test compares the two.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp

from mesh_gateway_native.attributes cimport REQUIRED, is_of_cloudevents, which_usual
from mesh_gateway_native.text cimport REMEMBERED, Bytes, all_of, ascii, begins, is_lower, remembered

# What a byte may be part of. A bytes object ends with a NUL that no class holds, so a scan stops at its end by itself.
cdef enum:
    IN_PATH = 1
    IN_HOST = 2
    IN_VALUE = 4
    IN_ATTRIBUTE = 8

cdef unsigned char CLASSES[256]
cdef unsigned char NAMES[256]  # the lower case of a byte that may stand in a header's name, else 0

cdef enum:
    LONGEST_NAME = 64
    MOST_PASSED = 32

cdef list names = [""] * REMEMBERED
"""Attribute names that came lately."""


cdef void describe_bytes() noexcept:
    cdef int c
    letters_and_digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    for c in letters_and_digits + b"-_":
        NAMES[c] = c
    for c in range(ord("A"), ord("Z") + 1):
        NAMES[c] = c + 32
    for c in letters_and_digits + b"-._~/":
        CLASSES[c] |= IN_PATH
    for c in letters_and_digits + b"-._~!$&'()*+,;=:[]":
        CLASSES[c] |= IN_HOST
    for c in range(0x20, 0x7f):
        CLASSES[c] |= IN_VALUE
    for c in range(0x21, 0x7f):
        if c != ord('"') and c != ord("%"):
            CLASSES[c] |= IN_ATTRIBUTE


describe_bytes()


cdef class PlainHead:
    """The head of a plain request, and the event in it. Has what a `Head` has; of its headers only what is of any use."""

    cdef readonly bytes target
    cdef readonly Py_ssize_t length
    """Bytes of the body."""
    cdef readonly Py_ssize_t end
    """Where in the buffer the body begins."""
    cdef readonly dict attributes
    cdef readonly dict passed

    method = b"POST"
    headers = ()
    fields = {}
    keep_alive = True
    chunked = False
    expects = None


def plain_head(bytes buffer not None, Py_ssize_t at, Py_ssize_t most_bytes, Py_ssize_t most_headers):
    """The head that begins at `at`, or None when it is not complete, longer than `most_bytes`, or in any way not plain."""
    cdef Bytes begin = <Bytes>PyBytes_AS_STRING(buffer)
    cdef Bytes stop = begin + PyBytes_GET_SIZE(buffer)
    if at < 0 or at >= stop - begin:
        return None
    begin += at
    cdef Bytes p = begin
    if stop - p < 17 or memcmp(p, b"POST /", 6) != 0:
        return None
    p += 5
    cdef Bytes target = p
    while CLASSES[p[0]] & IN_PATH:
        p += 1
    cdef Bytes target_end = p
    if stop - p < 11 or memcmp(p, b" HTTP/1.1\r\n", 11) != 0:
        return None
    p += 11

    cdef Reading reading = Reading.__new__(Reading)
    reading.attributes = {}
    cdef unsigned char name[LONGEST_NAME]
    cdef Bytes value
    cdef Py_ssize_t size, count = 0
    while p[0] != c"\r":
        if count == most_headers:
            return None
        size = 0
        while size < LONGEST_NAME and NAMES[p[size]]:
            name[size] = NAMES[p[size]]
            size += 1
        if size == 0 or size == LONGEST_NAME or p[size] != c":":
            return None
        p += size + 1
        while p[0] == c" ":
            p += 1
        value = p
        while CLASSES[p[0]] & IN_VALUE:
            p += 1
        if p == value or (p - 1)[0] == c" " or p[0] != c"\r" or p[1] != c"\n":
            return None
        if not reading.header(name, size, value, p - value):
            return None
        p += 2
        count += 1
    if p[1] != c"\n":
        return None
    p += 2
    if p - begin > most_bytes or not reading.is_whole():
        return None

    cdef PlainHead head = PlainHead.__new__(PlainHead)
    head.target = PyBytes_FromStringAndSize(<const char *>target, target_end - target)
    head.length = reading.length
    head.end = at + (p - begin)
    head.attributes = reading.attributes
    head.passed = reading.passed
    return head


cdef class Reading:
    """What the headers have said so far."""

    cdef dict attributes
    cdef dict passed
    cdef str content_type
    cdef Py_ssize_t length
    cdef Py_ssize_t count  # of ce-* headers
    cdef bint host, sized
    cdef int required  # of which have come

    cdef bint header(self, Bytes name, Py_ssize_t size, Bytes value, Py_ssize_t length) except -1:
        """Take a header; False when it, or that it comes again, is not plain."""
        if size > 3 and memcmp(name, b"ce-", 3) == 0:
            return self.attribute(name + 3, size - 3, value, length)
        if size == 4 and memcmp(name, b"host", 4) == 0:
            if self.host or not all_of(value, length, CLASSES, IN_HOST):
                return False
            self.host = True
        elif size == 14 and memcmp(name, b"content-length", 14) == 0:
            return self.content_length(value, length)
        elif size == 12 and memcmp(name, b"content-type", 12) == 0:
            if self.content_type is not None or is_of_cloudevents(value, length):
                return False
            self.content_type = ascii(value, length)
        elif size == 10 and memcmp(name, b"connection", 10) == 0:
            return length == 10 and is_lower(value, b"keep-alive", 10)
        elif size == 10 and memcmp(name, b"user-agent", 10) == 0:
            return length < 11 or memcmp(value, b"kube-probe/", 11) != 0
        elif is_passed(name, size):
            return self.passed_on(name, size, value, length)
        else:
            return not means_more(name, size)
        return True

    cdef bint attribute(self, Bytes name, Py_ssize_t size, Bytes value, Py_ssize_t length) except -1:
        cdef Py_ssize_t i
        for i in range(size):
            if name[i] == c"-" or name[i] == c"_":
                return False
        if not all_of(value, length, CLASSES, IN_ATTRIBUTE):
            return False
        cdef int which = which_usual(name, size, value, length)
        if which < 0:
            return False
        self.required |= which
        self.count += 1
        self.attributes[remembered(names, name, size)] = ascii(value, length)
        return True

    cdef bint content_length(self, Bytes value, Py_ssize_t length) except -1:
        cdef Py_ssize_t i
        if self.sized or length > 18:
            return False
        self.sized = True
        for i in range(length):
            if value[i] < c"0" or value[i] > c"9":
                return False
            self.length = self.length * 10 + (value[i] - c"0")
        return True

    cdef bint passed_on(self, Bytes name, Py_ssize_t size, Bytes value, Py_ssize_t length) except -1:
        if self.passed is None:
            self.passed = {}
        key = ascii(name, size)
        if key in self.passed or len(self.passed) == MOST_PASSED:
            return False
        self.passed[key] = ascii(value, length)
        return True

    cdef bint is_whole(self) except -1:
        """Whether it is all there, and no attribute was there twice; the content type comes last, as in Python."""
        if not (self.host and self.required == REQUIRED):
            return False
        if len(self.attributes) != self.count:
            return False
        if self.content_type is not None:
            self.attributes["datacontenttype"] = self.content_type
        return True


cdef bint is_passed(Bytes name, Py_ssize_t size) noexcept:
    """Headers that travel beside the event: those of `http._PASSED` and `http._PASSED_PREFIXES`."""
    return (
        (size == 11 and memcmp(name, b"traceparent", 11) == 0)
        or (size == 10 and memcmp(name, b"tracestate", 10) == 0)
        or (size == 7 and memcmp(name, b"baggage", 7) == 0)
        or (size == 12 and memcmp(name, b"x-request-id", 12) == 0)
        or (size >= 5 and memcmp(name, b"x-b3-", 5) == 0)
        or (size >= 8 and memcmp(name, b"knative-", 8) == 0)
    )


cdef bint means_more(Bytes name, Py_ssize_t size) noexcept:
    """Headers that say how to read or to judge the request; here, whatever begins like one of them."""
    return (
        begins(name, size, b"transfer-", 9)
        or begins(name, size, b"content-", 8)
        or begins(name, size, b"mesh-", 5)
        or begins(name, size, b"expect", 6)
        or begins(name, size, b"authorization", 13)
        or begins(name, size, b"k-network-", 10)
        or begins(name, size, b"upgrade", 7)
        or begins(name, size, b"proxy-", 6)
        or begins(name, size, b"ce-", 3)
    )
