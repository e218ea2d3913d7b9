# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Whether the attributes of an event are plainly valid.

`plainly_valid` says yes to what most events have only: printable ASCII under every name, and no value that takes a closer look. So
it may never say yes where `mesh_gateway.attributes` finds a fault; to all else it says no, and Python decides and explains.
Generated tests compare the two.
"""

from cpython.dict cimport PyDict_CheckExact, PyDict_Next
from cpython.ref cimport PyObject
from libc.string cimport memcmp

from mesh_gateway_native.text cimport Bytes, PyUnicode_1BYTE_DATA, PyUnicode_GET_LENGTH, all_of, is_ascii

cdef unsigned char CLASSES[256]
classify(CLASSES)


def plainly_valid(object attributes, /):
    """Whether they are those of the usual event; no decides nothing."""
    cdef Py_ssize_t place = 0
    cdef PyObject *name
    cdef PyObject *value
    cdef int which, required = 0
    if not PyDict_CheckExact(attributes):
        return False
    while PyDict_Next(attributes, &place, &name, &value):
        which = which_plain(<object>name, <object>value)
        if which < 0:
            return False
        required |= which
    return required == REQUIRED


cdef int which_plain(object name, object value) noexcept:
    """Which required attribute it is, 0 for another one, -1 for one that needs a closer look."""
    if not (is_ascii(name) and is_ascii(value)):
        return -1
    cdef Bytes letters = PyUnicode_1BYTE_DATA(name), text = PyUnicode_1BYTE_DATA(value)
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(name), length = PyUnicode_GET_LENGTH(value)
    if not (size and length and all_of(letters, size, CLASSES, IN_NAME) and all_of(text, length, CLASSES, IN_VALUE)):
        return -1
    if size == 15 and memcmp(letters, b"datacontenttype", 15) == 0:
        return 0 if is_media_type(text, length, CLASSES) else -1
    return which_usual(letters, size, text, length)
