cimport cython

from tinygrad_course.kernels.memory cimport blank, keep


@cython.final
cdef class Version:
    cdef public Py_ssize_t count
    cdef public str last_write
    cdef public object line
    cdef public Py_ssize_t rewrites
    cdef public object outside


cdef class TensorBase:
    cdef public object array
    cdef public object node
    cdef public object _grad
    cdef public Version version
    cdef public object hooks
    cdef public object post_hooks
    cdef public TensorBase base
    cdef public Py_ssize_t seen
    cdef public bint track
    cdef public Py_hash_t _hash
    cdef object __weakref__

    cpdef _set(self, array, node, bint track)
    cpdef Py_hash_t _identity(self)
    cpdef Version _shared_version(self)
    cpdef _bump_version(self, str writer)


cdef type tensor_type

cpdef TensorBase new_tensor(array, node=*)
