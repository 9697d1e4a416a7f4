"""Picking and placing elements, and running results along an axis.

What each kernel computes stands in tinygrad_course/backend/reference/: index.py, and statistics.py and order.py.

Design:
* Every index is checked in one vectorised pass before the first element moves, so the loops have no branches and an
  error names the first bad index whatever the number of threads.  The loops never see an unchecked index.
* `gather` and `take_slice` move bytes, so they serve all dtypes.  `scatter_add` and the adjoint of indexing add in
  float32, float64 and int64; other dtypes use NumPy's `add.at`.
* A key of slices `:` and neighbouring integer arrays (rows, columns, pairs), or a mask, is one array of row numbers:
  `_rows_of`.
  Other keys are left to NumPy.
* A task of `scatter_add` owns its places and takes the sources in order: no atomics, the same bits for any number of
  threads.
* Running sums and their like are chains along the axis: scan.h says what is done about that.
"""

cimport numpy as cnp
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from tinygrad_course.kernels.copy cimport copied, copy_into, extended, movable
from tinygrad_course.kernels.door cimport chosen_level, contiguous, empty_like, float_kind
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
    void tc_true_places(const char *mask, ptrdiff_t n, int64_t *places, ptrdiff_t count)
    void tc_join(const int64_t *index, const int64_t *other, int64_t size, int64_t *y, ptrdiff_t n)

cdef extern from "scan.h" nogil:
    void tc_scan(int product, int type, int level, const char *, char *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int reverse, int)
    void tc_running_extreme(int smallest, int type, const char *, int64_t *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int)
    void tc_topk(int type, const char *, int64_t *, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t count, bint largest, int)
    void tc_recurrence(int type, const char *, const char *, char *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int reverse, int)

cdef extern from *:
    """
    /* What follows is Cython's: checks and calls, of which -O3 would make a third more.  The loops are above. */
    #if defined(__GNUC__) && !defined(__clang__)
    #pragma GCC optimize("Os")
    #endif
    """

KERNELS = ("cummax_index", "cummin_index", "cumprod", "cumsum", "gather", "one_hot", "recurrence", "scatter_add",
           "slice_adjoint", "take_slice", "topk_few_index", "within")

cdef int _level = chosen_level()

cdef enum:
    GRAIN = 65536           # elements that are worth a thread
    ADD_GRAIN = 262144      # where neighbours are added in whole vectors
    CLEAR_GRAIN = 4000000   # bytes of zeros
    SCAN_GRAIN = 65536      # elements of a running result
    TOPK_GRAIN = 262144     # elements to choose few from
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
        raise IndexError("%s: index %s is out of bounds for dimension %s with size %s" % (name, data[bad], dim, size))
    return 0


cdef bint _check_shapes(str name, str what, cnp.ndarray x, int dim, cnp.ndarray index) except -1:
    """Raises unless `index` fits x; returns whether it is as large as x except along `dim` (-1: everywhere)."""
    cdef int d
    cdef bint equal = True
    if cnp.PyArray_NDIM(index) != cnp.PyArray_NDIM(x):
        raise ValueError("%s: index %s has %s dimensions, %s %s has %s; they must be equal" % (
            name, (<object>index).shape, index.ndim, what, (<object>x).shape, x.ndim))
    for d in range(cnp.PyArray_NDIM(x)):
        if d == dim:
            continue
        if cnp.PyArray_DIM(index, d) > cnp.PyArray_DIM(x, d):
            raise ValueError("%s: index %s is larger than %s %s along dimension %s (%s > %s)" % (
                name, (<object>index).shape, what, (<object>x).shape, d, cnp.PyArray_DIM(index, d), cnp.PyArray_DIM(x, d)))
        equal = equal and cnp.PyArray_DIM(index, d) == cnp.PyArray_DIM(x, d)
    return equal


def within(cnp.ndarray index not None, Py_ssize_t low, Py_ssize_t stop):
    """Whether all of `index` lie in [low, stop)."""
    index = _index(index)
    return tc_first_bad(<const int64_t *>cnp.PyArray_DATA(index), cnp.PyArray_SIZE(index), low, stop) < 0


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


cdef cnp.ndarray _places_in(str name, object index, Py_ssize_t size, int axis):
    """An index array along an axis, checked; contiguous int64 without numbers below 0."""
    cdef cnp.ndarray places = _index(index)
    cdef const int64_t *data = <const int64_t *>cnp.PyArray_DATA(places)
    if tc_first_bad(data, cnp.PyArray_SIZE(places), 0, size) < 0:
        return places
    _check(name, places, -size, size, axis)
    return np.where(places < 0, places + size, places)


cdef cnp.ndarray _places_of_mask(cnp.ndarray mask):
    """The numbers of the elements that are true."""
    cdef cnp.npy_intp count = np.count_nonzero(mask)
    cdef cnp.ndarray c = _contiguous(mask), places = pool_empty(1, &count, cnp.NPY_INT64)
    tc_true_places(<const char *>cnp.PyArray_DATA(c), cnp.PyArray_SIZE(c), <int64_t *>cnp.PyArray_DATA(places), count)
    return places


cdef cnp.ndarray _rows_of(str name, tuple shape, object key, Rows *rows):
    """The row numbers of a key of integer arrays side by side, or one mask, with `:` or nothing at all other axes; else None.

    Several arrays are made one: the numbers of the elements in the flattened axes."""
    cdef int d = 0, axis, ndim = <int>len(shape)
    cdef Py_ssize_t size
    cdef bint masked = False
    cdef cnp.ndarray index = None, other, item
    rows.outer = rows.inner = rows.n = 1
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, np.ndarray) and d < ndim:
            item = part
            if index is None:
                rows.first = d
            elif masked or rows.stop != d:
                return None
            if cnp.PyArray_TYPE(item) == cnp.NPY_BOOL:
                if index is not None or cnp.PyArray_NDIM(item) == 0 or d + cnp.PyArray_NDIM(item) > ndim:
                    return None
                for axis in range(cnp.PyArray_NDIM(item)):
                    size = shape[d]
                    if cnp.PyArray_DIM(item, axis) != size:
                        return None   # NumPy raises
                    rows.n *= size
                    d += 1
                index, masked = _places_of_mask(item), True
            elif item.dtype.kind in "iu":
                size = shape[d]
                other = _places_in(name, item, size, d)
                if index is None:
                    index = other
                else:
                    if (<object>index).shape != (<object>other).shape:
                        index, other = [_contiguous(array) for array in np.broadcast_arrays(index, other)]
                    index = _joined(index, other, size)
                rows.n *= size
                d += 1
            else:
                return None
            rows.stop = d
        elif isinstance(part, slice) and part == slice(None):
            d += 1
        else:
            return None
    if index is None or d > ndim:
        return None
    for d in range(ndim):
        size = shape[d]
        if d < rows.first:
            rows.outer *= size
        elif d >= rows.stop:
            rows.inner *= size
    return index


cdef cnp.ndarray _joined(cnp.ndarray index, cnp.ndarray other, Py_ssize_t size):
    """index * size + other."""
    cdef cnp.ndarray y = empty_like(index)
    tc_join(<const int64_t *>cnp.PyArray_DATA(index), <const int64_t *>cnp.PyArray_DATA(other), size,
            <int64_t *>cnp.PyArray_DATA(y), cnp.PyArray_SIZE(y))
    return y


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


# -- running results along an axis --------------------------------------------------------------------------------------


cdef cnp.ndarray _scanned(str name, cnp.ndarray x, int axis, int *kind, ptrdiff_t *outer, ptrdiff_t *n, ptrdiff_t *inner):
    """x, contiguous, in the type to go through it with: kind 0 float32 (also for float16), 1 float64, 2 int64."""
    cdef int code = cnp.PyArray_TYPE(x)
    if axis < 0 or axis >= cnp.PyArray_NDIM(x) or x.dtype.kind not in "biuf":
        raise ValueError("%s: axis %s of %s %s" % (name, axis, x.dtype, (<object>x).shape))
    _split(x, axis, outer, inner)
    n[0] = cnp.PyArray_DIM(x, axis)
    kind[0] = 0 if code == cnp.NPY_FLOAT32 or code == cnp.NPY_FLOAT16 else 1 if code == cnp.NPY_FLOAT64 else 2
    if code == cnp.NPY_FLOAT16:
        x = x.astype(np.float32)
    elif kind[0] == 2 and code != cnp.NPY_INT64:
        x = x.astype(np.int64)
    return _contiguous(x)


cdef cnp.ndarray _running(str name, int product, cnp.ndarray x, int axis, bint reverse):
    cdef int kind
    cdef ptrdiff_t outer, n, inner
    cdef cnp.ndarray c = _scanned(name, x, axis, &kind, &outer, &n, &inner), y = empty_like(c)
    if outer * n * inner < 2 * SCAN_GRAIN:
        tc_scan(product, kind, _level, <const char *>cnp.PyArray_DATA(c), <char *>cnp.PyArray_DATA(y), outer, n, inner,
                reverse, 1)
    else:
        with nogil:
            tc_scan(product, kind, _level, <const char *>cnp.PyArray_DATA(c), <char *>cnp.PyArray_DATA(y), outer, n, inner,
                    reverse, n_threads(outer * n * inner, SCAN_GRAIN))
    if cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT16:
        with np.errstate(over="ignore"):
            return y.astype(np.float16)
    return y


def cumsum(cnp.ndarray x not None, int axis, bint reverse):
    """Sums of the elements up to and including each along `axis`, or from each on."""
    return _running("cumsum", 0, x, axis, reverse)


def cumprod(cnp.ndarray x not None, int axis):
    """Products of the elements up to and including each along `axis`."""
    return _running("cumprod", 1, x, axis, False)


cdef cnp.ndarray _extreme_index(str name, int smallest, cnp.ndarray x, int axis):
    cdef int kind
    cdef ptrdiff_t outer, n, inner
    cdef cnp.ndarray c = _scanned(name, x, axis, &kind, &outer, &n, &inner)
    cdef cnp.ndarray y = pool_empty(cnp.PyArray_NDIM(c), cnp.PyArray_DIMS(c), cnp.NPY_INT64)
    if cnp.PyArray_SIZE(y):
        with nogil:
            tc_running_extreme(smallest, kind, <const char *>cnp.PyArray_DATA(c), <int64_t *>cnp.PyArray_DATA(y), outer, n,
                               inner, n_threads(outer * n * inner, SCAN_GRAIN))
    return y


def cummax_index(cnp.ndarray x not None, int axis):
    """Index of the maximum up to each element along `axis`: the last one, or the last NaN."""
    return _extreme_index("cummax_index", 0, x, axis)


def cummin_index(cnp.ndarray x not None, int axis):
    """Index of the minimum up to each element along `axis`: the last one, or the last NaN."""
    return _extreme_index("cummin_index", 1, x, axis)


def recurrence(cnp.ndarray g not None, cnp.ndarray c not None, int axis, bint reverse):
    """r_i = g_i + c_(i-1) r_(i-1) along `axis`, or r_i = g_i + c_i r_(i+1) from its end; c is one shorter than g."""
    cdef int d, kind
    cdef ptrdiff_t outer, n, inner
    cdef cnp.ndarray r
    if cnp.PyArray_TYPE(g) == cnp.NPY_FLOAT16 and cnp.PyArray_TYPE(c) == cnp.NPY_FLOAT16:
        with np.errstate(over="ignore"):
            return recurrence(g.astype(np.float32), c.astype(np.float32), axis, reverse).astype(np.float16)
    kind = float_kind("recurrence", g)
    cdef bint fits = (0 <= axis < cnp.PyArray_NDIM(g) and cnp.PyArray_NDIM(c) == cnp.PyArray_NDIM(g)
                      and cnp.PyArray_TYPE(c) == cnp.PyArray_TYPE(g))
    for d in range(cnp.PyArray_NDIM(g) if fits else 0):
        fits = fits and cnp.PyArray_DIM(c, d) == cnp.PyArray_DIM(g, d) - (d == axis)
    if not fits:
        raise ValueError("recurrence: c must be like g, but one shorter along the axis; g is %s %s, c is %s %s, axis %s" % (
            g.dtype, (<object>g).shape, c.dtype, (<object>c).shape, axis))
    g, c = contiguous(g), contiguous(c)
    _split(g, axis, &outer, &inner)
    n = cnp.PyArray_DIM(g, axis)
    r = empty_like(g)
    if cnp.PyArray_SIZE(r):
        with nogil:
            tc_recurrence(kind, <const char *>cnp.PyArray_DATA(g), <const char *>cnp.PyArray_DATA(c),
                          <char *>cnp.PyArray_DATA(r), outer, n, inner, reverse, n_threads(outer * n * inner, SCAN_GRAIN))
    return r


def topk_few_index(cnp.ndarray x not None, int axis, int count, bint largest):
    """The first `count` (1 to 64) of argsort along `axis`, descending if the largest are wanted."""
    cdef int kind, last = cnp.PyArray_NDIM(x) - 1
    cdef ptrdiff_t outer, n, inner
    cdef cnp.ndarray c, y
    cdef cnp.npy_intp shape[MAX_DIMS]
    if axis != last:
        return _contiguous(np.moveaxis(topk_few_index(np.moveaxis(x, axis, last), last, count, largest), last, axis))
    c = _scanned("topk", x, axis, &kind, &outer, &n, &inner)
    if not 0 < count <= min(n, 64):
        raise ValueError("topk: %s elements of %s" % (count, n))
    for d in range(last):
        shape[d] = cnp.PyArray_DIM(x, d)
    shape[last] = count
    y = pool_empty(last + 1, shape, cnp.NPY_INT64)
    with nogil:
        tc_topk(kind, <const char *>cnp.PyArray_DATA(c), <int64_t *>cnp.PyArray_DATA(y), outer, n, count, largest,
                n_threads(outer * n, TOPK_GRAIN))
    return y
