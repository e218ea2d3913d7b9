"""What parts ask of bytes and text; inlined, so that a part is one file to load."""

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
