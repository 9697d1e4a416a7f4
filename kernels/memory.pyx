"""The memory pool: a NumPy data allocator (NEP 49), an array constructor and scratch memory for the kernels.

Design:
* The pool itself is in tc_alloc.h.  This module is the only one that includes it, so there is one pool; other kernels
  cimport `tc_malloc`, `tc_free` and `pool_empty` from here.
* The kernels' outputs come from the pool by default, NumPy's own arrays only after `enable()`.  NumPy keeps the handler
  in a context variable: `enable()` holds for the running thread or asyncio task, and new threads start with NumPy's
  allocator.  Every array remembers its own handler, so arrays may die in any thread and after `disable()`.
* `pool_empty` makes the array over a block of the pool and then hands the block over to it: OWNDATA and the handler are
  set in the array, which is how NumPy itself leaves an array that it allocated.  Measured for one array of 4 KB
  or 64 KB, made and freed: this way 54 ns, plain PyArray_EMPTY 75 and 65, a capsule as base 87 (and the array would
  not own its data), switching NumPy's handler around PyArray_EMPTY 235.
* Below 4 KB plain PyArray_EMPTY: NumPy has a cache for tiny blocks, and alignment gains nothing there.
* Making and freeing a tiny array (90 ns) costs more than the arithmetic in it.  When a tensor dies, its array waits if it
  has up to 1 KB and nobody else holds it, and `pool_empty` takes it for the next result of the same shape and type.  Such
  an array is as new: nothing refers to it or its memory.  The same for tensors and nodes themselves: tc_objects.h.
"""

cimport numpy as cnp
from cpython.object cimport PyTypeObject
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.string cimport strcpy

cnp.import_array()

cdef extern from "Python.h":
    int PyTraceMalloc_Track(unsigned int domain, size_t ptr, size_t size)

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *, size_t) noexcept
        void *(*calloc)(void *, size_t, size_t) noexcept
        void *(*realloc)(void *, void *, size_t) noexcept
        void (*free)(void *, void *, size_t) noexcept

    ctypedef struct PyDataMem_Handler:
        char name[127]
        unsigned char version
        PyDataMemAllocator allocator

    ctypedef struct PyArrayObject_fields:
        PyObject *mem_handler
        PyObject *base
        PyObject *weakreflist
        void *descr
        int flags

    PyTypeObject PyArray_Type
    bint PyArray_CheckExact(object array)
    object PyArray_NewFromDescr(PyTypeObject *subtype, cnp.dtype descr, int nd, const cnp.npy_intp *dims,
                                const cnp.npy_intp *strides, void *data, int flags, PyObject *obj)
    object PyDataMem_SetHandler(PyObject *handler)
    object PyDataMem_GetHandler()

cdef extern from "tc_alloc.h" nogil:
    const bint TC_HAVE_POOL
    size_t tc_cached
    size_t tc_live
    size_t tc_peak
    size_t tc_hits
    size_t tc_misses
    size_t tc_cap
    void *tc_pool_malloc(size_t n) noexcept
    void tc_pool_free(void *p) noexcept
    void tc_pool_trim() noexcept
    void tc_pool_reset_peak() noexcept
    void tc_pool_init() noexcept
    void *tc_np_malloc(void *, size_t) noexcept
    void *tc_np_calloc(void *, size_t, size_t) noexcept
    void *tc_np_realloc(void *, void *, size_t) noexcept
    void tc_np_free(void *, void *, size_t) noexcept

cdef extern from "tc_objects.h":
    PyObject *tc_no_arguments
    PyTypeObject *tc_array_type
    void (*tc_recycle)(PyObject *) noexcept
    object tc_blank(PyTypeObject *type)
    int tc_keep(PyTypeObject *type) except -1
    void tc_free_waiting()

KERNELS = ()

cdef enum:
    SMALLEST = 4096        # bytes of the smallest array that comes from the pool
    TRACE_DOMAIN = 389047   # np.lib.tracemalloc_domain

cdef PyDataMem_Handler _handler
strcpy(_handler.name, b"tinygrad_course_pool")
_handler.version = 1
_handler.allocator.ctx = NULL
_handler.allocator.malloc = tc_np_malloc
_handler.allocator.calloc = tc_np_calloc
_handler.allocator.realloc = tc_np_realloc
_handler.allocator.free = tc_np_free
tc_pool_init()

cdef object _capsule = PyCapsule_New(&_handler, b"mem_handler", NULL)


cdef void *tc_malloc(size_t n) noexcept nogil:
    return tc_pool_malloc(n)


cdef void tc_free(void *p) noexcept nogil:
    tc_pool_free(p)


# ---- tiny arrays that wait for the next result of their shape

cdef enum:
    BUCKETS = 128      # a power of two; all arrays in one have the same shape and type
    DEPTH = 1024       # arrays that wait in a bucket at most
    TINY = 1024        # bytes of the largest array that is kept
    WAITING = 1 << 16  # bytes of all arrays that wait in a bucket
    AXES = 8           # of an array that is kept at most

cdef struct Bucket:
    int count
    int room           # how many may wait
    int nd             # their shape and type
    int typenum
    cnp.npy_intp dims[AXES]
    PyObject *arrays[DEPTH]

cdef Bucket _buckets[BUCKETS]
cdef object _float32 = cnp.PyArray_DescrFromType(cnp.NPY_FLOAT32)
cdef object _float64 = cnp.PyArray_DescrFromType(cnp.NPY_FLOAT64)
cdef object _bool = cnp.PyArray_DescrFromType(cnp.NPY_BOOL)


cdef inline Bucket *_bucket(int nd, const cnp.npy_intp *dims, int typenum) noexcept:
    cdef size_t key = 31 * typenum + nd
    cdef int d
    for d in range(nd):
        key = key * 31 + <size_t>dims[d]
    return &_buckets[(key ^ (key >> 7)) & (BUCKETS - 1)]


cdef inline bint _fits(const Bucket *bucket, int nd, const cnp.npy_intp *dims, int typenum) noexcept:
    cdef int d
    if bucket.nd != nd or bucket.typenum != typenum:
        return False
    for d in range(nd):
        if bucket.dims[d] != dims[d]:
            return False
    return True


cdef void _drop(Bucket *bucket) noexcept:
    """Let the arrays of a bucket die."""
    while bucket.count:
        bucket.count -= 1
        Py_DECREF(<object>bucket.arrays[bucket.count])


cdef bint _give_to(Bucket *bucket, int nd, const cnp.npy_intp *dims, int typenum, Py_ssize_t nbytes) noexcept:
    """Let the bucket be one for arrays of this shape and type, if those are small enough."""
    cdef int d
    if nbytes == 0 or nbytes > TINY or nd > AXES:
        return False
    _drop(bucket)
    bucket.room = <int>min(DEPTH, WAITING // nbytes)
    bucket.nd = nd
    bucket.typenum = typenum
    for d in range(nd):
        bucket.dims[d] = dims[d]
    return True


cdef void _recycle(PyObject *array) noexcept:
    """Keep an array that dies with the caller's reference, if it is tiny and nobody else looks at its memory."""
    cdef PyArrayObject_fields *fields = <PyArrayObject_fields *>array
    cdef cnp.ndarray x = <cnp.ndarray>array
    cdef PyObject *descr = <PyObject *>fields.descr
    cdef int nd = cnp.PyArray_NDIM(x), typenum = cnp.PyArray_TYPE(x)
    cdef const cnp.npy_intp *dims = cnp.PyArray_DIMS(x)
    cdef Bucket *bucket
    if (fields.base != NULL or fields.weakreflist != NULL
            or descr != <PyObject *>_float32 and descr != <PyObject *>_float64 and descr != <PyObject *>_bool
            or fields.flags & ~cnp.NPY_ARRAY_F_CONTIGUOUS != cnp.NPY_ARRAY_CARRAY | cnp.NPY_ARRAY_OWNDATA):
        return
    bucket = _bucket(nd, dims, typenum)
    if not _fits(bucket, nd, dims, typenum) and not _give_to(bucket, nd, dims, typenum, cnp.PyArray_NBYTES(x)):
        return
    if bucket.count < bucket.room:
        Py_INCREF(x)
        bucket.arrays[bucket.count] = array
        bucket.count += 1


cdef cnp.ndarray pool_empty(int nd, cnp.npy_intp *dims, int typenum):
    cdef Bucket *bucket = _bucket(nd, dims, typenum)
    cdef cnp.dtype descr
    cdef size_t nbytes
    cdef void *data
    cdef cnp.ndarray out
    cdef int i
    if bucket.count and _fits(bucket, nd, dims, typenum):
        bucket.count -= 1
        out = <cnp.ndarray>bucket.arrays[bucket.count]
        Py_DECREF(out)   # the bucket's reference
        return out
    descr = cnp.PyArray_DescrFromType(typenum)
    nbytes = descr.itemsize
    for i in range(nd):
        if dims[i] <= 0 or nbytes > (<size_t>1 << 62) / <size_t>dims[i]:
            return cnp.PyArray_EMPTY(nd, dims, typenum, 0)   # empty, or an error that NumPy words well
        nbytes *= dims[i]
    if nbytes < SMALLEST or not TC_HAVE_POOL:
        return cnp.PyArray_EMPTY(nd, dims, typenum, 0)
    data = tc_pool_malloc(nbytes)
    if data == NULL:
        raise MemoryError(f"no memory for an array of {nbytes} bytes")
    Py_INCREF(descr)   # stolen by the next line
    try:
        out = PyArray_NewFromDescr(&PyArray_Type, descr, nd, dims, NULL, data, cnp.NPY_ARRAY_CARRAY, NULL)
    except BaseException:
        tc_pool_free(data)
        raise
    Py_INCREF(_capsule)
    (<PyArrayObject_fields *>out).mem_handler = <PyObject *>_capsule
    cnp.PyArray_ENABLEFLAGS(out, cnp.NPY_ARRAY_OWNDATA)
    PyTraceMalloc_Track(TRACE_DOMAIN, <size_t>data, nbytes)   # NumPy untracks it when the array dies
    return out


# ---- tensors and nodes, which are made and die with every op (tc_objects.h)

cdef tuple _nothing = ()
tc_no_arguments = <PyObject *>_nothing
tc_array_type = &PyArray_Type
tc_recycle = _recycle


cpdef object blank(type kind):
    """A new object of a compiled class, all of whose fields are None, 0 or False."""
    return tc_blank(<PyTypeObject *>kind)


cpdef keep(type kind):
    """Let the dead objects of a compiled class wait for `blank`, and their tiny arrays for the next result."""
    tc_keep(<PyTypeObject *>kind)


def empty(shape, dtype="float32"):
    """Uninitialised C-contiguous array whose data come from the pool (from 4 KB on) and return to it."""
    cdef cnp.npy_intp dims[64]
    cdef tuple sizes = tuple(shape)
    cdef cnp.dtype descr = cnp.dtype(dtype)
    cdef int i
    if len(sizes) > 32:
        raise ValueError(f"empty: shape {sizes} has {len(sizes)} dimensions, at most 32 are possible")
    for i in range(len(sizes)):
        dims[i] = sizes[i]
    return pool_empty(<int>len(sizes), dims, descr.type_num)


def available():
    """Whether this platform has the pool; without it every array is NumPy's own."""
    return bool(TC_HAVE_POOL)


def enable():
    """Let NumPy take the data of all new arrays from the pool, in this thread or asyncio task."""
    if TC_HAVE_POOL:
        PyDataMem_SetHandler(<PyObject *>_capsule)


def disable():
    """Give NumPy its own allocator back, in this thread or asyncio task.  Living arrays are not touched."""
    if enabled():
        PyDataMem_SetHandler(NULL)


def enabled():
    """Whether NumPy's new arrays come from the pool, in this thread or asyncio task."""
    return PyDataMem_GetHandler() is _capsule


def trim():
    """Give all waiting blocks, arrays and objects back to the system."""
    cdef int i
    tc_free_waiting()
    for i in range(BUCKETS):
        _drop(&_buckets[i])
    tc_pool_trim()


def stats():
    """Bytes that wait in the pool (`cached`), that are in use (`live`) and the most that ever were (`peak`); requests
    served from waiting blocks (`hits`) and from the system (`misses`); the most bytes that may wait (`cap`)."""
    return {"cached": tc_cached, "live": tc_live, "peak": tc_peak, "hits": tc_hits, "misses": tc_misses, "cap": tc_cap}


def reset_peak():
    """Let `peak` begin anew, at what is in use now."""
    tc_pool_reset_peak()


def set_cap(size_t size):
    """Let at most `size` bytes wait in the pool; gives the surplus back to the system."""
    global tc_cap
    tc_cap = size
    if tc_cached > size:
        tc_pool_trim()
