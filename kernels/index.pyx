"""Picking and placing elements; what each kernel computes stands in tinygrad_course/backend/reference/index.py.

Design:
* Every index is checked in one vectorised pass before the first element moves, so the loops have no branches and an
  error names the first bad index whatever the number of threads.  The loops never see an unchecked index.
* `gather` and `take_slice` move bytes, so they serve all dtypes.  `scatter_add` and the adjoint of indexing add in
  float32, float64 and int64; other dtypes use NumPy's `add.at`.
* A key of slices `:` and neighbouring integer arrays (rows, columns, pairs) is one array of row numbers: `_rows_of`.
  Other keys are left to NumPy.
* A task of `scatter_add` owns its places and takes the sources in order: no atomics, the same bits for any number of
  threads.
"""

cimport numpy as cnp
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from tinygrad_course.kernels.copy cimport copied, copy_into, extended, movable
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
ctypedef void (*rows_loop)(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                           int) noexcept nogil

cdef extern from "index.h" nogil:
    ptrdiff_t tc_first_bad(const int64_t *index, ptrdiff_t n, int64_t low, int64_t high)
    void tc_gather_8(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_gather_16(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_gather_32(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_gather_64(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_scatter_f32(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_scatter_f64(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_scatter_i64(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_add_rows_f32(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_add_rows_f64(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_add_rows_i64(void *, const int64_t *, const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_take_rows(const void *, const int64_t *, void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_clear(void *, ptrdiff_t, int)

KERNELS = ("gather", "one_hot", "scatter_add", "slice_adjoint", "take_slice")

cdef enum:
    GRAIN = 65536           # elements that are worth a thread
    ADD_GRAIN = 262144      # where neighbours are added in whole vectors
    CLEAR_GRAIN = 4000000   # bytes of zeros
    MAX_DIMS = 64


cdef cnp.ndarray _contiguous(object x):
    if PyArray_ISCARRAY_RO(x):
        return x
    return copied(x) if movable(x) else np.array(x, dtype=x.dtype.newbyteorder("="), order="C")


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
    if loop != NULL and whole and PyArray_ISCARRAY_RO(x):
        y = pool_empty(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), code)
        memcpy(cnp.PyArray_DATA(y), cnp.PyArray_DATA(x), cnp.PyArray_NBYTES(x))
    else:
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


cdef struct Rows:
    ptrdiff_t outer, n, inner   # the array around the indexed axes
    int first, stop             # the indexed axes


cdef cnp.ndarray _rows_of(str name, tuple shape, object key, Rows *rows):
    """The row numbers of a key of integer arrays side by side, with `:` or nothing at all other axes; else None.

    Several arrays are made one: the numbers of the elements in the flattened axes."""
    cdef int d = 0, first = 0, ndim = len(shape)
    cdef cnp.ndarray index
    cdef list found = []
    if not isinstance(key, tuple):
        key = (key,)
    for item in key:
        if isinstance(item, np.ndarray) and item.dtype.kind in "iu":
            if found and first + <int>len(found) != d:
                return None
            if not found:
                first = d
            found.append(item)
        elif not (isinstance(item, slice) and item == slice(None)):
            return None
        d += 1
    if not found or d > ndim:
        return None
    rows.first, rows.stop = first, first + len(found)
    rows.outer = rows.inner = rows.n = 1
    for d in range(ndim):
        if d < rows.first:
            rows.outer *= shape[d]
        elif d < rows.stop:
            rows.n *= shape[d]
        else:
            rows.inner *= shape[d]
    index = _index(found[0])
    _check(name, index, -shape[first], shape[first], first)
    for d in range(first + 1, rows.stop):
        other = _index(found[d - first])
        _check(name, other, -shape[d], shape[d], d)
        index = np.where(index < 0, index + shape[d - 1], index) * shape[d] + np.where(other < 0, other + shape[d], other)
    return index


def take_slice(cnp.ndarray x not None, object key):
    """A copy of x[key]."""
    cdef Rows rows
    cdef cnp.ndarray y, index = None
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int d, ndim = cnp.PyArray_NDIM(x)
    if PyArray_ISCARRAY_RO(x) and x.dtype.kind in "fiub":
        index = _rows_of("take_slice", (<object>x).shape, key, &rows)
    if index is not None and ndim - (rows.stop - rows.first) + cnp.PyArray_NDIM(index) <= MAX_DIMS:
        for d in range(rows.first):
            shape[d] = cnp.PyArray_DIM(x, d)
        for d in range(cnp.PyArray_NDIM(index)):
            shape[rows.first + d] = cnp.PyArray_DIM(index, d)
        for d in range(rows.stop, ndim):
            shape[d - rows.stop + rows.first + cnp.PyArray_NDIM(index)] = cnp.PyArray_DIM(x, d)
        y = pool_empty(ndim - (rows.stop - rows.first) + cnp.PyArray_NDIM(index), shape, cnp.PyArray_TYPE(x))
        with nogil:
            tc_take_rows(cnp.PyArray_DATA(x), <const int64_t *>cnp.PyArray_DATA(index), cnp.PyArray_DATA(y), rows.outer,
                         rows.n, cnp.PyArray_SIZE(index), rows.inner * cnp.PyArray_ITEMSIZE(x),
                         n_threads(cnp.PyArray_SIZE(y), GRAIN))
        return y
    picked = x[key]
    if not isinstance(picked, np.ndarray):
        return np.array(picked)
    if PyArray_CHKFLAGS(picked, cnp.NPY_ARRAY_OWNDATA) and PyArray_ISCARRAY_RO(picked):
        return picked   # an advanced key has copied already
    return copied(picked)


cdef bint _is_basic(object item):
    """Whether this part of a key can name an element only once: everything but integer arrays."""
    if item is None or item is Ellipsis or isinstance(item, (int, np.integer, slice)):
        return True
    return isinstance(item, np.ndarray) and cnp.PyArray_TYPE(item) == cnp.NPY_BOOL


cdef cnp.ndarray _zeros(tuple shape, cnp.ndarray like):
    """Zeros from the pool."""
    cdef cnp.npy_intp dims[MAX_DIMS]
    cdef Py_ssize_t d, bytes
    cdef cnp.ndarray y
    for d in range(len(shape)):
        dims[d] = shape[d]
    y = pool_empty(len(shape), dims, cnp.PyArray_TYPE(like))
    bytes = cnp.PyArray_NBYTES(y)
    with nogil:
        tc_clear(cnp.PyArray_DATA(y), bytes, n_threads(bytes, CLEAR_GRAIN))
    return y


cdef cnp.ndarray _adjoint_of_cut(cnp.ndarray g, tuple shape, object key):
    """The adjoint of indexing with integers and slices of step 1, which is padding with zeros; None for other keys."""
    cdef Py_ssize_t size[MAX_DIMS]
    cdef Py_ssize_t stride[MAX_DIMS]
    cdef Py_ssize_t before[MAX_DIMS]
    cdef Py_ssize_t after[MAX_DIMS]
    cdef Py_ssize_t start, stop, step
    cdef int d, used = 0, nd = <int>len(shape)
    cdef tuple parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > nd or nd > MAX_DIMS or not movable(g):
        return None
    if cnp.PyArray_NDIM(g) and cnp.PyArray_STRIDE(g, cnp.PyArray_NDIM(g) - 1) != cnp.PyArray_ITEMSIZE(g):
        g = copied(g)
    for d in range(nd):
        part = parts[d] if d < len(parts) else slice(None)
        if type(part) is slice:
            start, stop, step = part.indices(shape[d])
            if step != 1 or used >= cnp.PyArray_NDIM(g) or cnp.PyArray_DIM(g, used) != (stop - start if stop > start else 0):
                return None
            size[d] = cnp.PyArray_DIM(g, used)
            stride[d] = cnp.PyArray_ITEMSIZE(g) if size[d] == 1 else cnp.PyArray_STRIDE(g, used)
            used += 1
        elif type(part) is int:
            start = part + shape[d] if part < 0 else part
            if start < 0 or start >= shape[d]:
                return None   # NumPy raises
            size[d], stride[d] = 1, cnp.PyArray_ITEMSIZE(g)
        else:
            return None
        before[d], after[d] = start, shape[d] - start - size[d]
    if used != cnp.PyArray_NDIM(g):
        return None
    return extended(g, <const char *>cnp.PyArray_DATA(g), nd, size, stride, before, after, 0)


def slice_adjoint(cnp.ndarray g not None, tuple shape not None, object key):
    """Zeros of `shape` with g added at [key]."""
    cdef Rows rows
    cdef rows_loop loop = NULL
    cdef int code = cnp.PyArray_TYPE(g)
    cdef cnp.ndarray y = _adjoint_of_cut(g, shape, key), index = None
    if y is not None:
        return y
    y = _zeros(shape, g)
    if code == cnp.NPY_FLOAT32:
        loop = tc_add_rows_f32
    elif code == cnp.NPY_FLOAT64:
        loop = tc_add_rows_f64
    elif code == cnp.NPY_INT64:
        loop = tc_add_rows_i64
    if loop != NULL:
        index = _rows_of("slice_adjoint", shape, key, &rows)
    if index is not None and (<object>g).shape == shape[:rows.first] + (<object>index).shape + shape[rows.stop:]:
        g = _contiguous(g)
        with nogil:
            loop(cnp.PyArray_DATA(y), <const int64_t *>cnp.PyArray_DATA(index), cnp.PyArray_DATA(g), rows.outer, rows.n,
                 cnp.PyArray_SIZE(index), rows.inner, n_threads(cnp.PyArray_SIZE(g), ADD_GRAIN))
        return y
    for item in (key if isinstance(key, tuple) else (key,)):
        if not _is_basic(item):
            np.add.at(y, key, g)
            return y
    place = y[key]
    if isinstance(place, np.ndarray) and np.may_share_memory(place, y):
        copy_into(place, g)
    else:
        y[key] = g   # a mask, of which NumPy makes a copy that may have a base too, or a single element
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
