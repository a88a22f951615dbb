# cython: language_level=3, boundscheck=False, cdivision=True
"""EXI documents by the tables that the generated message classes carry (`FIELDS`), compiled.

Every class that the generator writes describes its own grammar, so nothing is generated here: these few hundred lines
walk the description, for the committed modules and for those that a user makes from schemas of his own.

Only what is clean and common is done. Whatever is not (a deviation, a fault, a value of the wrong type, text beyond ASCII,
an integer beyond 64 bits, a type described by `STATES`) ends in `Rare`: the pure coder then does the document from its
beginning and alone decides its outcome. So there are no error messages here, and nothing is tolerated.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append, PyList_CheckExact, PyList_GET_SIZE
from cpython.long cimport PyLong_AsLong, PyLong_AsLongLong, PyLong_AsUnsignedLongLong
from cpython.object cimport PyObject
from cpython.ref cimport Py_TYPE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport INT64_MAX, INT64_MIN, UINT64_MAX, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy

from evse_controller.exi.bits import MAX_BINARY, MAX_ITEMS, MAX_TEXT
from evse_controller.messages.base import UNBOUNDED, Kind, Node

cdef extern from "Python.h":
    bint PyLong_CheckExact(object)
    bint PyUnicode_CheckExact(object)
    bint PyUnicode_IS_ASCII(object)
    uint8_t* PyUnicode_1BYTE_DATA(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    object PyObject_GetAttr(object, object)
    int PyObject_SetAttr(object, object, object) except -1


class Rare(Exception):
    """The pure coder has to decide."""


include "plan.pxi"
include "decode.pxi"
include "encode.pxi"

cdef int HEADER = 0x80  # EXI 1.0, 5


cdef class Coders:
    """Decoder and encoder of the documents of one schema set.

    `bits` is the width of the document grammar's event code, `roots` maps each class to its code. Both functions
    return None where the pure coder has to decide.
    """

    cdef int bits
    cdef dict roots, classes

    def __init__(self, int bits, dict roots):
        self.bits = bits
        self.roots = roots
        self.classes = {code: kind for kind, code in roots.items()}

    def decode(self, data):
        """The message in a document, or None."""
        if not PyBytes_CheckExact(data) or PyBytes_GET_SIZE(data) < 2:
            return None
        cdef Reader r
        r.data, r.size, r.at = <const uint8_t*>PyBytes_AS_STRING(data), 8 * <uint64_t>PyBytes_GET_SIZE(data), 8
        if r.data[0] != HEADER:
            return None
        try:
            kind = self.classes.get(take(&r, self.bits))
            if kind is None:
                return None
            message = take_node(&r, plan_of(kind))
            if r.size - r.at > 7 or take(&r, r.size - r.at):
                return None  # trailing bytes, or padding that is not zero
        except Rare:
            return None
        return message

    def encode(self, message):
        """The document of a message, or None."""
        code = self.roots.get(type(message))
        if code is None:
            return None
        cdef Writer w
        w.data, w.room, w.size, w.bits, w.count = NULL, 0, 0, 0, 0
        try:
            put(&w, 8, HEADER)
            put(&w, self.bits, code)
            put_node(&w, plan_of(type(message)), message)
            put(&w, -w.count & 7, 0)
            return PyBytes_FromStringAndSize(<char*>w.data, w.size)
        except (Rare, AttributeError, OverflowError):  # the latter: no attribute set, no integer of 64 bits
            return None
        finally:
            free(w.data)
