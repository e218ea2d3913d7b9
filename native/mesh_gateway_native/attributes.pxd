"""Values that are plainly good, by the rules of `mesh_gateway.attributes`; False decides nothing."""

from libc.string cimport memcmp

from mesh_gateway_native.text cimport Bytes, begins, is_lower

cdef enum:
    ID = 1
    TYPE = 2
    SOURCE = 4
    SPECVERSION = 8
    REQUIRED = 15

# What a byte may be part of, by a table that each part has for itself.
cdef enum:
    IN_NAME = 1
    IN_VALUE = 2
    IN_TOKEN = 4


cdef inline void classify(unsigned char *classes) noexcept:
    """Write the table."""
    cdef int c
    for c in range(0x20, 0x7f):
        classes[c] |= IN_VALUE
        if c"a" <= c <= c"z" or is_digit(c):
            classes[c] |= IN_NAME
        if is_letter(c) or is_digit(c) or c in b"!#$%&'*+-.^_`|~":
            classes[c] |= IN_TOKEN


cdef inline int which_usual(Bytes name, Py_ssize_t size, Bytes value, Py_ssize_t length) noexcept:
    """Which required attribute it is, 0 for another one, -1 for one that is not usual. The value is of printable ASCII."""
    if size == 2 and memcmp(name, b"id", 2) == 0:
        return ID
    if size == 4 and memcmp(name, b"type", 4) == 0:
        return TYPE
    if size == 6 and memcmp(name, b"source", 6) == 0:
        return SOURCE if is_uri(value, length) else -1
    if size == 11 and memcmp(name, b"specversion", 11) == 0:
        return SPECVERSION if length == 3 and memcmp(value, b"1.0", 3) == 0 else -1
    if size == 4 and memcmp(name, b"time", 4) == 0:
        return 0 if is_usual_time(value, length) else -1
    if size == 10 and memcmp(name, b"dataschema", 10) == 0:
        return 0 if is_uri(value, length) and has_scheme(value, length) else -1
    # `data`, `datacontenttype` and `datacontentencoding`, which need a closer look, and `schemaurl` of 0.3.
    return -1 if begins(name, size, b"data", 4) or begins(name, size, b"schemaurl", 9) else 0


cdef inline bint is_of_cloudevents(Bytes media_type, Py_ssize_t size) noexcept:
    """Structured, a batch, or refused."""
    return size >= 23 and is_lower(media_type, b"application/cloudevents", 23)


cdef inline bint is_media_type(Bytes text, Py_ssize_t size, const unsigned char *classes) noexcept:
    """`type/subtype`, and parameters `; name=value` without quotes; by the table of `classify`."""
    cdef Py_ssize_t at = token(text, 0, size, classes)
    if at <= 0 or at == size or text[at] != c"/":
        return False
    at = token(text, at + 1, size, classes)
    while 0 < at < size:
        if text[at] != c";":
            return False
        at += 1
        while at < size and text[at] == c" ":
            at += 1
        at = token(text, at, size, classes)
        if at < 0 or at == size or text[at] != c"=":
            return False
        at = token(text, at + 1, size, classes)
    return at == size


cdef inline Py_ssize_t token(Bytes text, Py_ssize_t at, Py_ssize_t size, const unsigned char *classes) noexcept:
    """Where the token ends that begins here; -1 when there is none."""
    cdef Py_ssize_t begin = at
    while at < size and classes[text[at]] & IN_TOKEN:
        at += 1
    return at if at > begin else -1


cdef inline bint is_uri(Bytes value, Py_ssize_t size) noexcept:
    cdef Py_ssize_t i
    for i in range(size):
        if not (is_letter(value[i]) or is_digit(value[i]) or value[i] in b"-._~:/?#[]@!$&'()*+,;="):
            return False
    return True


cdef inline bint is_digit(unsigned char c) noexcept:
    return c"0" <= c <= c"9"


cdef inline bint is_letter(unsigned char c) noexcept:
    return c"A" <= c <= c"Z" or c"a" <= c <= c"z"


cdef inline bint has_scheme(Bytes value, Py_ssize_t size) noexcept:
    cdef Py_ssize_t i
    for i in range(size):
        if value[i] == c":":
            return i > 0
        if not (is_letter(value[i]) or (i > 0 and (is_digit(value[i]) or value[i] in b"+.-"))):
            return False
    return False


cdef inline bint is_usual_time(Bytes value, Py_ssize_t size) noexcept:
    """A moment as most write it, on any day but 29 February: as `attributes._USUAL_TIME`."""
    cdef Py_ssize_t end = size - 1 if size >= 20 and value[size - 1] == c"Z" else size - 6
    cdef int hour
    if end < 19 or not has_shape(value, b"dddd-dd-ddTdd:dd:dd", 19) or not is_usual_day(number(value + 5), number(value + 8)):
        return False
    if number(value + 11) > 23 or value[14] > c"5" or value[17] > c"5":
        return False
    if end < size - 1:
        hour = number(value + end + 1)
        if not (value[end] == c"+" or value[end] == c"-") or not has_shape(value + end + 1, b"dd:dd", 5):
            return False
        if hour > 23 or value[end + 4] > c"5":
            return False
    return end == 19 or end > 20 and value[19] == c"." and are_digits(value + 20, end - 20)


cdef inline bint has_shape(Bytes value, const char *shape, Py_ssize_t size) noexcept:
    """`d` is for a digit, all else for itself."""
    cdef Py_ssize_t i
    for i in range(size):
        if not (is_digit(value[i]) if shape[i] == c"d" else value[i] == <unsigned char>shape[i]):
            return False
    return True


cdef inline bint are_digits(Bytes value, Py_ssize_t size) noexcept:
    cdef Py_ssize_t i
    for i in range(size):
        if not is_digit(value[i]):
            return False
    return True


cdef inline int number(Bytes value) noexcept:
    """Of two digits."""
    return (value[0] - 48) * 10 + value[1] - 48


cdef inline bint is_usual_day(int month, int day) noexcept:
    """Of any year."""
    if month == 2:
        return 1 <= day <= 28
    if month == 4 or month == 6 or month == 9 or month == 11:
        return 1 <= day <= 30
    return 1 <= month <= 12 and 1 <= day <= 31
