# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Batches of Kafka records: read in one pass, with the event whose attributes stand in each record's headers, and written.

`usual_records` knows only what most producers write: a batch that is not compressed, whose records are events in binary mode of
printable ASCII that break no rule. Of every other batch it says None; then aiokafka reads it, and `mesh_gateway_kafka.records`
decides, refuses and explains. So nothing here may be more lenient than those and `mesh_gateway.attributes`, and the events must
be the ones that they would have read. `record_headers` and `batch_records` write what Python and aiokafka would have written, to
the last byte, of any event. Generated tests compare the two. `crc32c` is the checksum of both, where the processor has an
instruction for it, else None.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Next
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.string cimport memcmp, memcpy, memset

from mesh_gateway_native.attributes cimport IN_NAME, IN_VALUE, REQUIRED, classify, is_media_type, is_of_cloudevents, which_usual
from mesh_gateway_native.text cimport REMEMBERED, Bytes, all_of, ascii, remembered

ctypedef unsigned long long Bits

cdef unsigned char CLASSES[256]
classify(CLASSES)

cdef enum:
    HEADER_SIZE = 61  # of a batch
    NOT_USUAL = 0x27  # of its attributes: compressed, or of control
    TIME_OF_BROKER = 0x08  # whose records are all of one moment
    LONGEST_NAME = 64

cdef list names = [""] * REMEMBERED
"""Attribute names that came lately."""


cdef class UsualRecord:
    """A record, and what makes an event of it beside its value."""

    cdef readonly long long offset
    cdef readonly long long timestamp
    cdef readonly bytes key
    cdef readonly bytes value
    cdef readonly dict attributes
    cdef readonly bytes passed
    """The header `mesh-headers` as it came."""


def usual_records(bytes batch not None):
    """All records of a batch, or None when it, or any of them, is in any way not usual."""
    cdef Bytes begin = <Bytes>PyBytes_AS_STRING(batch)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(batch)
    if size < HEADER_SIZE or integer(begin + 8, 4) != <Bits>(size - 12) or begin[16] != 2:
        return None
    cdef Bits attributes = integer(begin + 21, 2)
    cdef Bits base = integer(begin, 8), first = integer(begin + 27, 8), last = integer(begin + 35, 8)
    cdef Bits count = integer(begin + 57, 4)
    if attributes & NOT_USUAL or count > <Bits>size:
        return None
    cdef Reading reading = Reading.__new__(Reading)
    reading.at, reading.end = begin + HEADER_SIZE, begin + size
    cdef list found = []
    cdef UsualRecord record
    cdef Bits i
    for i in range(count):
        record = reading.record()
        if record is None:
            return None
        record.offset = <long long>(base + reading.offset)
        record.timestamp = <long long>(last if attributes & TIME_OF_BROKER else first + reading.moment)
        found.append(record)
    return found if reading.at == reading.end else None


cdef class Reading:
    """Where in a batch we are, and what the headers of the record at hand have said so far."""

    cdef Bytes at
    cdef Bytes end
    cdef Bytes stop  # of the record
    cdef Bits offset, moment  # since those of the batch
    cdef str content_type
    cdef Py_ssize_t count  # of ce_ headers
    cdef int required  # of which have come

    cdef UsualRecord record(self):
        """The record that begins here, without offset and timestamp; None when it is not usual."""
        cdef Py_ssize_t size
        cdef Bits headers = 0, i
        self.stop = self.end
        if not self.length(&size) or size < 1:
            return None
        self.stop = self.at + size
        if self.at[0] != 0:  # attributes, of which there are none
            return None
        self.at += 1
        if not (self.number(&self.moment) and self.number(&self.offset)):
            return None
        cdef UsualRecord found = UsualRecord.__new__(UsualRecord)
        if not self.length(&size):
            return None
        found.key = self.taken(size)
        if not self.length(&size):
            return None
        found.value = self.taken(size)
        if not self.number(&headers) or headers > <Bits>(self.stop - self.at):
            return None
        self.content_type = None
        self.count = 0
        self.required = 0
        found.attributes = {}
        for i in range(headers):
            if not self.header(found):
                return None
        return found if self.at == self.stop and self.is_event(found) else None

    cdef bint header(self, UsualRecord found) except -1:
        """Take a header; False when it, or that it comes again, is not usual."""
        cdef Py_ssize_t size, length, i
        if not self.length(&size) or size < 0:
            return False
        cdef Bytes name = self.at
        self.at += size
        if not self.length(&length) or length < 0:
            return False
        cdef Bytes value = self.at
        self.at += length
        if size >= 3 and memcmp(name, b"ce_", 3) == 0:
            return self.attribute(found, name + 3, size - 3, value, length)
        if size == 12 and memcmp(name, b"content-type", 12) == 0:
            if self.content_type is not None or not is_media_type(value, length, CLASSES) or is_of_cloudevents(value, length):
                return False
            self.content_type = ascii(value, length)
        elif size == 12 and memcmp(name, b"mesh-headers", 12) == 0:
            if found.passed is not None:
                return False
            found.passed = PyBytes_FromStringAndSize(<const char *>value, length)
        elif size == 10 and memcmp(name, b"mesh-kinds", 10) == 0:
            return False
        else:
            for i in range(size):
                if name[i] > 0x7f:  # to be judged as UTF-8
                    return False
        return True

    cdef bint attribute(self, UsualRecord found, Bytes name, Py_ssize_t size, Bytes value, Py_ssize_t length) except -1:
        if not (0 < size < LONGEST_NAME and all_of(name, size, CLASSES, IN_NAME) and length and all_of(value, length, CLASSES, IN_VALUE)):
            return False
        cdef int which = which_usual(name, size, value, length)
        if which < 0:
            return False
        self.required |= which
        self.count += 1
        found.attributes[remembered(names, name, size)] = ascii(value, length)
        return True

    cdef bint is_event(self, UsualRecord found) except -1:
        """Whether it is all there, and no attribute was there twice; the content type comes last, as in Python."""
        if self.required != REQUIRED:
            return False
        if len(found.attributes) != self.count:
            return False
        if self.content_type is not None:
            found.attributes["datacontenttype"] = self.content_type
        return True

    cdef bint number(self, Bits *found) noexcept:
        """Take a number of variable length, whose lowest bit is its sign; False when there is none."""
        cdef Bits bits = 0
        cdef int shift = 0
        cdef unsigned char c
        while shift < 70 and self.at < self.stop:
            c = self.at[0]
            self.at += 1
            bits |= <Bits>(c & 0x7f) << shift
            if not c & 0x80:
                found[0] = (bits >> 1) ^ (0 - (bits & 1))
                return True
            shift += 7
        return False

    cdef bint length(self, Py_ssize_t *found) noexcept:
        """Take the size of what follows, -1 for nothing; False when it does not follow."""
        cdef Bits size = 0
        if not self.number(&size):
            return False
        found[0] = -1 if <long long>size < 0 else <Py_ssize_t>size
        return found[0] <= self.stop - self.at

    cdef bytes taken(self, Py_ssize_t size):
        """So many bytes; None for -1."""
        if size < 0:
            return None
        found = PyBytes_FromStringAndSize(<const char *>self.at, size)
        self.at += size
        return found


cdef Bits integer(Bytes at, int size) noexcept:
    """A number of so many bytes, the highest first."""
    cdef Bits found = 0
    cdef int i
    for i in range(size):
        found = found << 8 | at[i]
    return found


# ── checksum ─────────────────────────────────────────────────────────────────────────────────────


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #if defined(__x86_64__) && defined(__GNUC__)
        #define HAS_CRC32C() __builtin_cpu_supports("sse4.2")
        #define CRC32C __attribute__((target("sse4.2")))
        #define CRC32C_OF_8(crc, word) (uint32_t)__builtin_ia32_crc32di(crc, word)
        #define CRC32C_OF_1(crc, byte) __builtin_ia32_crc32qi(crc, byte)
    #elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
        #include <arm_acle.h>
        #define HAS_CRC32C() 1
        #define CRC32C
        #define CRC32C_OF_8(crc, word) __crc32cd(crc, word)
        #define CRC32C_OF_1(crc, byte) __crc32cb(crc, byte)
    #else
        #define HAS_CRC32C() 0
        #define CRC32C
        #define CRC32C_OF_8(crc, word) 0
        #define CRC32C_OF_1(crc, byte) 0
    #endif

    CRC32C static uint32_t crc32c_of(const unsigned char *at, Py_ssize_t size) {
        uint32_t crc = 0xffffffff;
        uint64_t word;
        for (; size >= 8; at += 8, size -= 8) {
            memcpy(&word, at, 8);
            crc = CRC32C_OF_8(crc, word);
        }
        for (; size > 0; at++, size--)
            crc = CRC32C_OF_1(crc, *at);
        return ~crc;
    }
    """
    bint HAS_CRC32C() noexcept
    unsigned int crc32c_of(const unsigned char *at, Py_ssize_t size) noexcept


def _crc32c(data not None):
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    cdef unsigned int found = crc32c_of(<Bytes>view.buf, view.len)
    PyBuffer_Release(&view)
    return found


crc32c = _crc32c if HAS_CRC32C() else None


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


cdef struct Out:
    unsigned char *at  # NULL to count only
    Py_ssize_t size


def record_headers(dict attributes not None, bytes kinds, bytes passed):
    """The headers of a record as they stand in a batch: those of the attributes, and our own two where they are not None."""
    cdef Out out = Out(NULL, 0)
    write_headers(&out, attributes, kinds, passed)
    made = PyBytes_FromStringAndSize(NULL, out.size)
    out = Out(<unsigned char *>PyBytes_AS_STRING(made), 0)
    write_headers(&out, attributes, kinds, passed)
    return made


@cython.boundscheck(True)
def batch_records(list records not None, Py_ssize_t room):
    """A batch of these records, tuples of key, value and headers, all of one moment; `room` bytes are left for its header."""
    if room < 0:
        raise ValueError("no room is less than none")
    cdef Out out = Out(NULL, room)
    write_records(&out, records)
    made = PyByteArray_FromStringAndSize(NULL, out.size)
    out = Out(<unsigned char *>PyByteArray_AS_STRING(made), room)
    memset(out.at, 0, room)
    write_records(&out, records)
    return made


cdef int write_headers(Out *out, dict attributes, bytes kinds, bytes passed) except -1:
    cdef Py_ssize_t place = 0
    cdef PyObject *name
    cdef PyObject *value
    put_number(out, len(attributes) + (kinds is not None) + (passed is not None))
    while PyDict_Next(attributes, &place, &name, &value):
        put_name(out, <object>name)
        put_text(out, <object>value, b"", 0)
    if kinds is not None:
        put_number(out, 10)
        put(out, b"mesh-kinds", 10)
        put_bytes(out, kinds)
    if passed is not None:
        put_number(out, 12)
        put(out, b"mesh-headers", 12)
        put_bytes(out, passed)
    return 0


@cython.boundscheck(True)
cdef int write_records(Out *out, list records) except -1:
    cdef Py_ssize_t i
    cdef tuple one
    cdef Out counted
    for i in range(len(records)):
        one = records[i]
        counted = Out(NULL, 0)
        write_record(&counted, i, one[0], one[1], one[2])
        put_number(out, counted.size)
        write_record(out, i, one[0], one[1], one[2])
    return 0


cdef int write_record(Out *out, Py_ssize_t number, bytes key, bytes value, bytes headers) except -1:
    if headers is None:
        raise TypeError("a record has headers, and be it none of them")
    put(out, b"\0\0", 2)  # no attributes; no time since the batch's
    put_number(out, number)
    put_bytes(out, key)
    put_bytes(out, value)
    put(out, PyBytes_AS_STRING(headers), PyBytes_GET_SIZE(headers))
    return 0


cdef int put_name(Out *out, object attribute) except -1:
    cdef Py_ssize_t size
    cdef const char *text = PyUnicode_AsUTF8AndSize(attribute, &size)
    if size == 15 and memcmp(text, b"datacontenttype", 15) == 0:
        put_number(out, 12)
        put(out, b"content-type", 12)
        return 0
    return put_text(out, attribute, b"ce_", 3)


cdef int put_text(Out *out, object text, const char *prefix, Py_ssize_t prefix_size) except -1:
    cdef Py_ssize_t size
    cdef const char *encoded = PyUnicode_AsUTF8AndSize(text, &size)
    put_number(out, prefix_size + size)
    put(out, prefix, prefix_size)
    put(out, encoded, size)
    return 0


cdef void put_bytes(Out *out, bytes data) noexcept:
    if data is None:
        put_number(out, -1)
    else:
        put_number(out, PyBytes_GET_SIZE(data))
        put(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef void put_number(Out *out, long long number) noexcept:
    cdef Bits bits = (<Bits>number << 1) ^ <Bits>(-(number < 0))
    cdef unsigned char c
    while bits > 0x7f:
        c = bits & 0x7f | 0x80
        put(out, <const char *>&c, 1)
        bits >>= 7
    c = <unsigned char>bits
    put(out, <const char *>&c, 1)


cdef void put(Out *out, const char *data, Py_ssize_t size) noexcept:
    if out.at != NULL:
        memcpy(out.at + out.size, data, size)
    out.size += size
