"""Values that are plainly good, by the rules of `mesh_gateway.attributes`; False decides nothing."""

from mesh_gateway_native.text cimport Bytes


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
    """A moment in UTC, on a day that every month has: as `attributes._USUAL_TIME`."""
    cdef const char *shape = b"dddd-dd-ddTdd:dd:dd"
    cdef Py_ssize_t i
    cdef int month, day
    if size < 20 or value[size - 1] != c"Z":
        return False
    for i in range(19):
        if shape[i] == c"d":
            if not is_digit(value[i]):
                return False
        elif value[i] != <unsigned char>shape[i]:
            return False
    month = (value[5] - 48) * 10 + value[6] - 48
    day = (value[8] - 48) * 10 + value[9] - 48
    if not (1 <= month <= 12 and 1 <= day <= 28):
        return False
    if (value[11] - 48) * 10 + value[12] - 48 > 23 or value[14] > c"5" or value[17] > c"5":
        return False
    if size == 20:
        return True
    if value[19] != c"." or size == 21:
        return False
    for i in range(20, size - 1):
        if not is_digit(value[i]):
            return False
    return True
