"""Picking and placing elements; what each kernel computes stands in tinygrad_course/backend/reference/index.py.

Design:
* Every index is checked in one vectorised pass before the first element moves, so the loops have no branches and an
  error names the first bad index whatever the number of threads.  The loops never see an unchecked index.
* `gather` moves bytes: four loops by element size serve all dtypes.  `scatter_add` and the adjoint of row indexing add
  in float32, float64 and int64; other dtypes and other keys use NumPy's `add.at`.
* A task of `scatter_add` owns its places and takes the sources in order: no atomics, the same bits for any number of
  threads.
"""

cimport numpy as cnp
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from tinygrad_course.kernels.memory cimport pool_empty
from tinygrad_course.kernels.threads cimport n_threads

import numpy as np

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    bint PyArray_ISCARRAY_RO(cnp.ndarray) nogil
    bint PyArray_CHKFLAGS(cnp.ndarray, int) nogil

ctypedef void (*gather_loop)(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                             int) noexcept nogil
ctypedef void (*scatter_loop)(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                              int) noexcept nogil
ctypedef void (*rows_loop)(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int) noexcept nogil

cdef extern from "index.h" nogil:
    ptrdiff_t tc_first_bad(const int64_t *index, ptrdiff_t n, int64_t low, int64_t high)
    void tc_gather_8(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_gather_16(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_gather_32(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_gather_64(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_scatter_f32(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_scatter_f64(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_scatter_i64(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_add_rows_f32(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_add_rows_f64(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_add_rows_i64(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)

KERNELS = ("gather", "one_hot", "scatter_add", "slice_adjoint", "take_slice")

cdef enum:
    GRAIN = 65536   # elements that are worth a thread


cdef cnp.ndarray _contiguous(object x):
    if PyArray_ISCARRAY_RO(x):
        return x
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="C")


cdef cnp.ndarray _index(object index):
    """The index array, contiguous and int64."""
    if cnp.PyArray_TYPE(index) != cnp.NPY_INT64:
        index = index.astype(np.int64, casting="safe")
    return _contiguous(index)


cdef int _check(str name, cnp.ndarray index, int64_t low, int64_t size, int dim) except -1:
    cdef const int64_t *data = <const int64_t *>cnp.PyArray_DATA(index)
    cdef ptrdiff_t bad = tc_first_bad(data, cnp.PyArray_SIZE(index), low, size)
    if bad >= 0:
        raise IndexError(f"{name}: index {data[bad]} is out of bounds for dimension {dim} with size {size}")
    return 0


cdef bint _check_shapes(str name, str what, cnp.ndarray x, int dim, cnp.ndarray index) except -1:
    """Raises unless `index` fits x; returns whether it is as large as x except along `dim` (-1: everywhere)."""
    cdef int d
    cdef bint equal = True
    if cnp.PyArray_NDIM(index) != cnp.PyArray_NDIM(x):
        raise ValueError(f"{name}: index {(<object>index).shape} has {cnp.PyArray_NDIM(index)} dimensions, "
                         f"{what} {(<object>x).shape} has {cnp.PyArray_NDIM(x)}; they must be equal")
    for d in range(cnp.PyArray_NDIM(x)):
        if d == dim:
            continue
        if cnp.PyArray_DIM(index, d) > cnp.PyArray_DIM(x, d):
            raise ValueError(f"{name}: index {(<object>index).shape} is larger than {what} {(<object>x).shape} along "
                             f"dimension {d} ({cnp.PyArray_DIM(index, d)} > {cnp.PyArray_DIM(x, d)})")
        equal = equal and cnp.PyArray_DIM(index, d) == cnp.PyArray_DIM(x, d)
    return equal


cdef tuple _extent(cnp.ndarray index, int free):
    """Key of the corner of an array that `index` covers, whole along the axis `free`."""
    return tuple([slice(None) if d == free else slice(cnp.PyArray_DIM(index, d))
                  for d in range(cnp.PyArray_NDIM(index))])


cdef void _split(cnp.ndarray x, int dim, ptrdiff_t *outer, ptrdiff_t *inner) noexcept:
    cdef int d
    outer[0] = inner[0] = 1
    for d in range(cnp.PyArray_NDIM(x)):
        if d < dim:
            outer[0] *= cnp.PyArray_DIM(x, d)
        elif d > dim:
            inner[0] *= cnp.PyArray_DIM(x, d)


def gather(cnp.ndarray x not None, int dim, cnp.ndarray index not None):
    """y[i, j, k] = x[i, index[i, j, k], k] for dim = 1; the shape of `index`."""
    cdef ptrdiff_t outer, inner, n, m
    cdef cnp.ndarray y
    cdef gather_loop loop
    cdef Py_ssize_t item = cnp.PyArray_ITEMSIZE(x)
    if cnp.PyArray_NDIM(x) == 0 and cnp.PyArray_NDIM(index) < 2:
        return gather(x.reshape(1), 0, index.reshape(-1)).reshape((<object>index).shape)
    if not _check_shapes("gather", "input", x, dim, index):
        x = x[_extent(index, dim)]
    index = _index(index)
    n = cnp.PyArray_DIM(x, dim)
    m = cnp.PyArray_DIM(index, dim)
    _check("gather", index, 0, n, dim)
    if item == 1:
        loop = tc_gather_8
    elif item == 2:
        loop = tc_gather_16
    elif item == 4:
        loop = tc_gather_32
    elif item == 8:
        loop = tc_gather_64
    else:
        raise TypeError(f"gather: dtype {x.dtype} is not supported")
    x = _contiguous(x)
    _split(index, dim, &outer, &inner)
    y = pool_empty(cnp.PyArray_NDIM(index), cnp.PyArray_DIMS(index), cnp.PyArray_TYPE(x))
    with nogil:
        loop(cnp.PyArray_DATA(x), <const int64_t *>cnp.PyArray_DATA(index), cnp.PyArray_DATA(y), outer, n, m, inner,
             n_threads(outer * m * inner, GRAIN))
    return y


def scatter_add(cnp.ndarray x not None, int dim, cnp.ndarray index not None, cnp.ndarray src not None):
    """Copy y of x with y[i, index[i, j, k], k] += src[i, j, k] for dim = 1, in index order."""
    cdef ptrdiff_t outer, inner, n, m
    cdef cnp.ndarray y
    cdef scatter_loop loop = NULL
    cdef int code = cnp.PyArray_TYPE(x)
    cdef bint whole
    if cnp.PyArray_NDIM(x) == 0 and cnp.PyArray_NDIM(index) < 2 and cnp.PyArray_NDIM(src) < 2:
        return scatter_add(x.reshape(1), 0, index.reshape(-1), src.reshape(-1)).reshape(())
    whole = _check_shapes("scatter_add", "input", x, dim, index)
    if not _check_shapes("scatter_add", "src", src, -1, index):
        src = src[_extent(index, -1)]
    index = _index(index)
    n = cnp.PyArray_DIM(x, dim)
    m = cnp.PyArray_DIM(index, dim)
    _check("scatter_add", index, 0, n, dim)
    if cnp.PyArray_TYPE(src) == code:
        if code == cnp.NPY_FLOAT32:
            loop = tc_scatter_f32
        elif code == cnp.NPY_FLOAT64:
            loop = tc_scatter_f64
        elif code == cnp.NPY_INT64:
            loop = tc_scatter_i64
    y = np.array(x, dtype=x.dtype.newbyteorder("="), order="C")
    if loop == NULL or not whole:
        key = list(np.ogrid[tuple([slice(size) for size in (<object>index).shape])])
        key[dim] = index
        np.add.at(y, tuple(key), src)
        return y
    src = _contiguous(src)
    _split(index, dim, &outer, &inner)
    with nogil:
        loop(cnp.PyArray_DATA(y), <const int64_t *>cnp.PyArray_DATA(index), cnp.PyArray_DATA(src), outer, n, m, inner,
             n_threads(outer * m * inner, GRAIN))
    return y


def take_slice(cnp.ndarray x not None, object key):
    """A copy of x[key]."""
    picked = x[key]
    if not isinstance(picked, np.ndarray):
        return np.array(picked)
    if PyArray_CHKFLAGS(picked, cnp.NPY_ARRAY_OWNDATA) and PyArray_ISCARRAY_RO(picked):
        return picked   # an advanced key has copied already
    return cnp.PyArray_NewCopy(picked, cnp.NPY_CORDER)


cdef bint _is_basic(object item):
    """Whether this part of a key can name an element only once: everything but integer arrays."""
    if item is None or item is Ellipsis or isinstance(item, (int, np.integer, slice)):
        return True
    return isinstance(item, np.ndarray) and cnp.PyArray_TYPE(item) == cnp.NPY_BOOL


def slice_adjoint(cnp.ndarray g not None, tuple shape not None, object key):
    """Zeros of `shape` with g added at [key]."""
    cdef ptrdiff_t n, m, inner, dim_count = len(shape)
    cdef cnp.ndarray index
    cdef rows_loop loop = NULL
    cdef int code = cnp.PyArray_TYPE(g)
    cdef cnp.ndarray y = np.zeros(shape, g.dtype.newbyteorder("="))
    if isinstance(key, tuple) and len(key) == 1:
        key = key[0]
    if isinstance(key, np.ndarray) and key.dtype.kind in "iu" and dim_count:
        if code == cnp.NPY_FLOAT32:
            loop = tc_add_rows_f32
        elif code == cnp.NPY_FLOAT64:
            loop = tc_add_rows_f64
        elif code == cnp.NPY_INT64:
            loop = tc_add_rows_i64
    if loop != NULL and (<object>g).shape == (<object>key).shape + shape[1:]:
        index = _index(key)
        n = shape[0]
        _check("slice_adjoint", index, -n, n, 0)
        m = cnp.PyArray_SIZE(index)
        inner = cnp.PyArray_SIZE(g) / m if m else 0
        g = _contiguous(g)
        with nogil:
            loop(cnp.PyArray_DATA(y), <const int64_t *>cnp.PyArray_DATA(index), cnp.PyArray_DATA(g), n, m, inner,
                 n_threads(m * inner, GRAIN))
        return y
    for item in (key if isinstance(key, tuple) else (key,)):
        if not _is_basic(item):
            np.add.at(y, key, g)
            return y
    y[key] = g
    return y


def one_hot(cnp.ndarray index not None, Py_ssize_t n, object dtype):
    """y[..., c] = (index[...] == c), shape index.shape + (n,)."""
    cdef cnp.ndarray y = np.zeros((<object>index).shape + (n,), dtype)
    cdef cnp.ndarray one = np.ones((), dtype)
    cdef ptrdiff_t i, item = cnp.PyArray_ITEMSIZE(y)
    cdef const int64_t *at
    index = _index(index)
    _check("one_hot", index, 0, n, cnp.PyArray_NDIM(index))
    at = <const int64_t *>cnp.PyArray_DATA(index)
    for i in range(cnp.PyArray_SIZE(index)):
        memcpy(<char *>cnp.PyArray_DATA(y) + (i * n + at[i]) * item, cnp.PyArray_DATA(one), item)
    return y
