"""What parts ask of bytes and text; inlined, so that a part is one file to load."""

from cpython.unicode cimport PyUnicode_CheckExact
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 most)
    unsigned char *PyUnicode_1BYTE_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

ctypedef const unsigned char *Bytes


cdef inline bint is_lower(Bytes text, const char *wanted, Py_ssize_t size) noexcept:
    """Whether the letters, whatever their case, and other bytes are these."""
    cdef Py_ssize_t i
    cdef unsigned char c
    for i in range(size):
        c = text[i]
        if c"A" <= c <= c"Z":
            c += 32
        if c != <unsigned char>wanted[i]:
            return False
    return True


cdef inline bint begins(Bytes text, Py_ssize_t size, const char *start, Py_ssize_t length) noexcept:
    return size >= length and memcmp(text, start, length) == 0


cdef inline bint all_of(Bytes text, Py_ssize_t size, const unsigned char *classes, unsigned char kind) noexcept:
    """Whether `classes` say of every byte that it is of this kind."""
    cdef Py_ssize_t i
    for i in range(size):
        if not classes[text[i]] & kind:
            return False
    return True


cdef inline bint is_ascii(object text) noexcept:
    return PyUnicode_CheckExact(text) and PyUnicode_IS_COMPACT_ASCII(text)


cdef inline str ascii(Bytes text, Py_ssize_t size):
    made = PyUnicode_New(size, 127)
    memcpy(PyUnicode_1BYTE_DATA(made), text, size)
    return made


cdef enum:
    REMEMBERED = 512


cdef inline str remembered(list names, Bytes name, Py_ssize_t size):
    """The text of a name; for one that came lately the same object, whose hash is known.

    `names` are `REMEMBERED` texts, each in the place that its bytes give it: names are strangers' choice, so the memory is bounded.
    """
    cdef unsigned int place = 0
    cdef Py_ssize_t i
    for i in range(size):
        place = place * 31 + name[i]
    place %= REMEMBERED
    found = <str>names[place]
    if PyUnicode_GET_LENGTH(found) == size and memcmp(PyUnicode_1BYTE_DATA(found), name, size) == 0:
        return found
    found = ascii(name, size)
    names[place] = found
    return found
