# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""A delivery's usual request, written in one piece.

`binary_request` knows only what most events need: names and values of printable ASCII. Of everything else it says None, and that is
written in Python. What it writes are the bytes of `delivery.http.HttpSink.request`, to the last one.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_CheckExact, PyDict_Next
from cpython.ref cimport PyObject
from libc.stdio cimport snprintf
from libc.string cimport memcmp, memcpy

from mesh_gateway_native.text cimport Bytes, PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH, is_ascii

# What a byte may be part of.
cdef enum:
    IN_NAME = 1
    IN_VALUE = 2
    IN_ATTRIBUTE = 4  # a value that is its own header value

cdef unsigned char CLASSES[256]


cdef void describe_bytes() noexcept:
    cdef int c
    for c in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        CLASSES[c] |= IN_NAME
    for c in range(0x20, 0x7f):
        CLASSES[c] |= IN_VALUE
        if c != c" " and c != c'"' and c != c"%":
            CLASSES[c] |= IN_ATTRIBUTE


describe_bytes()


def binary_request(bytes first not None, object attributes, object headers, str skipped not None, object data, Py_ssize_t most):
    """The lines `first`, those of the event without the attribute `skipped`, and its data.

    None for an event with a value that is not its own header value, or with more than `most` bytes of lines.
    """
    cdef Py_ssize_t size = size_of(attributes, CE, skipped)
    cdef Py_ssize_t passed = 0 if headers is None else size_of(headers, PLAIN, None)
    if size < 0 or passed < 0 or size + passed > most or not (data is None or PyBytes_CheckExact(data)):
        return None
    cdef char number[48]
    cdef Py_ssize_t data_size = 0 if data is None else PyBytes_GET_SIZE(data)
    cdef int number_size = snprintf(number, sizeof(number), b"content-length: %zd\r\n\r\n", data_size)
    made = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(first) + size + passed + number_size + data_size)
    cdef unsigned char *at = <unsigned char *>PyBytes_AS_STRING(made)
    at = put(at, PyBytes_AS_STRING(first), PyBytes_GET_SIZE(first))
    at = write(at, attributes, CE, skipped)
    if headers is not None:
        at = write(at, headers, PLAIN, None)
    at = put(at, number, number_size)
    if data is not None:
        put(at, PyBytes_AS_STRING(data), data_size)
    return made


cdef enum Kind:
    CE  # attributes: under `ce-`, but the content type
    PLAIN  # headers that travel beside the event


cdef Py_ssize_t size_of(object lines, Kind kind, str skipped) except -2:
    """Bytes that `write` writes; -1 when one of them is not plain."""
    cdef Py_ssize_t place = 0, size = 0
    cdef PyObject *name
    cdef PyObject *value
    cdef bint prefixed
    if not PyDict_CheckExact(lines):
        return -1
    while PyDict_Next(lines, &place, &name, &value):
        if not (is_ascii(<object>name) and is_ascii(<object>value)):
            return -1
        if kind == CE and same(<object>name, skipped):
            continue
        prefixed = kind == CE and not is_type(<object>name)
        if not (is_all(<object>name, IN_NAME) and is_all(<object>value, IN_ATTRIBUTE if prefixed else IN_VALUE)):
            return -1
        size += PyUnicode_GET_LENGTH(<object>name) + PyUnicode_GET_LENGTH(<object>value) + 4
        if prefixed:
            size += 3  # ce-
        elif kind == CE:
            size -= 3  # content-type is shorter than datacontenttype
    return size


cdef unsigned char *write(unsigned char *at, object lines, Kind kind, str skipped) noexcept:
    cdef Py_ssize_t place = 0
    cdef PyObject *name
    cdef PyObject *value
    while PyDict_Next(lines, &place, &name, &value):
        if kind == CE and is_type(<object>name):
            at = put(at, b"content-type", 12)
        elif kind == CE:
            if same(<object>name, skipped):
                continue
            at = put(put(at, b"ce-", 3), <char *>PyUnicode_1BYTE_DATA(<object>name), PyUnicode_GET_LENGTH(<object>name))
        else:
            at = put(at, <char *>PyUnicode_1BYTE_DATA(<object>name), PyUnicode_GET_LENGTH(<object>name))
        at = put(at, b": ", 2)
        at = put(at, <char *>PyUnicode_1BYTE_DATA(<object>value), PyUnicode_GET_LENGTH(<object>value))
        at = put(at, b"\r\n", 2)
    return at


cdef unsigned char *put(unsigned char *at, const char *text, Py_ssize_t size) noexcept:
    memcpy(at, text, size)
    return at + size


cdef bint is_type(object name) noexcept:
    return PyUnicode_GET_LENGTH(name) == 15 and memcmp(PyUnicode_1BYTE_DATA(name), b"datacontenttype", 15) == 0


cdef bint same(object name, object other) noexcept:
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(name)
    return name is other or (
        size == PyUnicode_GET_LENGTH(other)
        and memcmp(PyUnicode_1BYTE_DATA(name), PyUnicode_1BYTE_DATA(other), size) == 0
    )


cdef bint is_all(object text, unsigned char kind) noexcept:
    cdef Bytes at = PyUnicode_1BYTE_DATA(text)
    cdef Py_ssize_t i
    for i in range(PyUnicode_GET_LENGTH(text)):
        if not CLASSES[at[i]] & kind:
            return False
    return True
