"""What belongs to the running thread: whether ops are recorded, and the scope that new nodes are marked with.

Every op asks for both.  `threading.local` costs 60 ns to read and 80 ns to write, more than a small op's arithmetic; a
thread-local C variable costs 2 ns.  The plain Python twin is tinygrad_course/kernels/local.py.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF

cdef extern from *:
    """
    static __thread int tc_not_recording;    /* zero in a new thread: ops are recorded */
    static __thread PyObject *tc_scope;      /* owned; NULL in a new thread and outside of modules */
    """
    int tc_not_recording
    PyObject *tc_scope


cpdef bint recording() noexcept:
    """Whether ops of this thread are recorded."""
    return not tc_not_recording


cpdef bint set_recording(bint enabled) noexcept:
    """Set whether ops of this thread are recorded; returns what it was."""
    cdef bint before = not tc_not_recording
    global tc_not_recording
    tc_not_recording = not enabled
    return before


cpdef object scope():
    """The scope of this thread, None outside of modules."""
    return None if tc_scope == NULL else <object>tc_scope


cpdef set_scope(object new):
    """Set the scope of this thread."""
    global tc_scope
    cdef PyObject *before = tc_scope
    if new is None:
        tc_scope = NULL
    else:
        Py_INCREF(new)
        tc_scope = <PyObject *>new
    Py_XDECREF(before)
