"""Batch norm and group norm, forward and backward: compiled twins of backend/reference/norm.py.

Design:
* Two layouts cover all: batch norm takes statistics per channel of (N, C, S) over the first and last axis; group norm
  per row of (rows, D, S) over the last two, which is layer and RMS norm (S = 1), group norm, and instance norm (D = 1).
* Forward and backward are one call each; the ReLU behind a batch norm, and a residual added before it, are done in the
  same pass.  Nothing but mean and variance per channel is kept for backward.
* Tasks are channels, blocks of columns, or blocks of rows, cut by the shape: the thread count cannot change a bit.
* Statistics are added up around the mean of their chunk, and in double across chunks (norm_impl.h).
"""

cimport numpy as cnp

import numpy as np

from tinygrad_course.kernels.door cimport chosen_level, contiguous, contiguous_as, empty_like, float_kind
from tinygrad_course.kernels.memory cimport pool_empty
from tinygrad_course.kernels.threads cimport n_threads

from tinygrad_course.errors import ShapeError

cnp.import_array()

cdef extern from "norm.h" nogil:
    ctypedef struct tc_batch_norm_call:
        const void *x
        const void *g
        const void *residual
        const void *weight
        const void *bias
        void *y
        void *gx
        void *gr
        void *mean
        void *var
        void *gw
        void *gb
        Py_ssize_t n
        Py_ssize_t c
        Py_ssize_t s
        double eps
        int training
        int relu

    ctypedef struct tc_group_norm_call:
        const void *x
        const void *g
        const void *weight
        const void *bias
        void *y
        void *gx
        void *mean
        void *var
        void *gw
        void *gb
        void *partial
        Py_ssize_t rows
        Py_ssize_t groups
        Py_ssize_t d
        Py_ssize_t s
        double eps
        int centred

    ctypedef void (*tc_batch_norm_fn)(const tc_batch_norm_call *p, int threads) noexcept
    ctypedef void (*tc_group_norm_fn)(const tc_group_norm_call *p, int threads) noexcept

    Py_ssize_t tc_group_partials(const tc_group_norm_call *p)
    tc_batch_norm_fn tc_batch_norm[2][3]
    tc_batch_norm_fn tc_batch_norm_grad[2][3]
    tc_group_norm_fn tc_group_norm[2][3]
    tc_group_norm_fn tc_group_norm_grad[2][3]

KERNELS = ("batch_norm", "batch_norm_grad", "group_norm", "group_norm_grad")

cdef enum:
    GRAIN = 30_000      # values that are worth a thread

cdef int _level = chosen_level()


def batch_norm(cnp.ndarray x, cnp.ndarray weight, cnp.ndarray bias, cnp.ndarray residual, cnp.ndarray running_mean,
               cnp.ndarray running_var, bint training, double momentum, double eps, bint relu):
    """Each channel of (N, C, ...) to mean 0 and variance 1; see the reference kernel."""
    cdef tc_batch_norm_call p
    cdef int kind = float_kind("batch_norm", x), typenum = cnp.PyArray_TYPE(x)
    cdef cnp.ndarray mean, var
    x = contiguous(x)
    weight, bias, residual = _batch_call(&p, "batch_norm", x, weight, bias, residual, eps, relu)
    if training:
        mean, var = _vector(p.c, typenum), _vector(p.c, typenum)
    else:  # copies: the running ones may have moved on when backward needs them
        mean, var = [np.array(value, x.dtype, order="C") for value in (running_mean, running_var)]
        _per_channel("batch_norm", mean, p.c)
        _per_channel("batch_norm", var, p.c)
    cdef cnp.ndarray y = empty_like(x)
    p.y, p.mean, p.var = cnp.PyArray_DATA(y), cnp.PyArray_DATA(mean), cnp.PyArray_DATA(var)
    p.training = training
    if p.n * p.s == 0:
        if training:
            mean.fill(0)
            var.fill(0)
        return y, mean, var
    with nogil:
        tc_batch_norm[kind][_level](&p, n_threads(p.n * p.c * p.s, GRAIN))
    if training:
        _move(running_mean, mean, momentum, 1.0)
        _move(running_var, var, momentum, <double>(p.n * p.s) / max(1, p.n * p.s - 1))
    return y, mean, var


def batch_norm_grad(cnp.ndarray g, cnp.ndarray x, cnp.ndarray weight, cnp.ndarray bias, cnp.ndarray residual,
                    cnp.ndarray mean, cnp.ndarray var, bint training, double eps, bint relu):
    """Gradients of batch_norm; see the reference kernel."""
    cdef tc_batch_norm_call p
    cdef int kind = float_kind("batch_norm_grad", x), typenum = cnp.PyArray_TYPE(x)
    x = contiguous(x)
    g = _same("batch_norm_grad", g, x)
    weight, bias, residual = _batch_call(&p, "batch_norm_grad", x, weight, bias, residual, eps, relu)
    mean, var = _per_channel("batch_norm_grad", contiguous_as(mean, typenum), p.c), contiguous_as(var, typenum)
    _per_channel("batch_norm_grad", var, p.c)
    cdef cnp.ndarray gx = empty_like(x), gw = _vector(p.c, typenum), gb = _vector(p.c, typenum)
    cdef cnp.ndarray gr = None if residual is None else empty_like(x)
    p.g, p.mean, p.var = cnp.PyArray_DATA(g), cnp.PyArray_DATA(mean), cnp.PyArray_DATA(var)
    p.gx, p.gw, p.gb = cnp.PyArray_DATA(gx), cnp.PyArray_DATA(gw), cnp.PyArray_DATA(gb)
    p.gr = NULL if gr is None else cnp.PyArray_DATA(gr)
    p.training = training
    if p.n * p.s == 0:
        gw.fill(0)
        gb.fill(0)
    else:
        with nogil:
            tc_batch_norm_grad[kind][_level](&p, n_threads(p.n * p.c * p.s, GRAIN))
    return (gx, gw, gb) if gr is None else (gx, gw, gb, gr)


def group_norm(cnp.ndarray x, cnp.ndarray weight, cnp.ndarray bias, shape, double eps, bint centred):
    """Each of the rows of (rows, D, S) to mean 0 and variance 1; see the reference kernel."""
    cdef tc_group_norm_call p
    cdef int kind = float_kind("group_norm", x), typenum = cnp.PyArray_TYPE(x)
    x = contiguous(x)
    weight, bias = _group_call(&p, "group_norm", x, weight, bias, shape, eps, centred)
    cdef cnp.ndarray y = empty_like(x), mean = _vector(p.rows, typenum), var = _vector(p.rows, typenum)
    p.y, p.mean, p.var = cnp.PyArray_DATA(y), cnp.PyArray_DATA(mean), cnp.PyArray_DATA(var)
    if p.d * p.s == 0:
        mean.fill(0)
        var.fill(0)
    else:
        with nogil:
            tc_group_norm[kind][_level](&p, n_threads(p.rows * p.d * p.s, GRAIN))
    return y, mean, var


def group_norm_grad(cnp.ndarray g, cnp.ndarray x, cnp.ndarray weight, cnp.ndarray mean, cnp.ndarray var, shape, double eps,
                    bint centred):
    """Gradients of group_norm; see the reference kernel."""
    cdef tc_group_norm_call p
    cdef int kind = float_kind("group_norm_grad", x), typenum = cnp.PyArray_TYPE(x)
    x = contiguous(x)
    g = _same("group_norm_grad", g, x)
    weight, _ = _group_call(&p, "group_norm_grad", x, weight, None, shape, eps, centred)
    mean, var = _per_channel("group_norm_grad", contiguous_as(mean, typenum), p.rows), contiguous_as(var, typenum)
    _per_channel("group_norm_grad", var, p.rows)
    cdef Py_ssize_t channels = p.groups * p.d
    cdef cnp.ndarray gx = empty_like(x), gw = _vector(channels, typenum), gb = _vector(channels, typenum)
    cdef cnp.ndarray partial = _vector(tc_group_partials(&p), typenum)
    p.g, p.mean, p.var = cnp.PyArray_DATA(g), cnp.PyArray_DATA(mean), cnp.PyArray_DATA(var)
    p.gx, p.gw, p.gb, p.partial = (cnp.PyArray_DATA(gx), cnp.PyArray_DATA(gw), cnp.PyArray_DATA(gb),
                                   cnp.PyArray_DATA(partial))
    if p.d * p.s == 0 or p.rows == 0:
        gw.fill(0)
        gb.fill(0)
    else:
        with nogil:
            tc_group_norm_grad[kind][_level](&p, n_threads(p.rows * p.d * p.s, GRAIN))
    return gx, gw, gb


# Sizes and pointers of p; returns the arrays behind the pointers, which the caller must keep.
cdef tuple _batch_call(tc_batch_norm_call *p, str op, cnp.ndarray x, cnp.ndarray weight, cnp.ndarray bias,
                       cnp.ndarray residual, double eps, bint relu):
    cdef int axis, typenum = cnp.PyArray_TYPE(x)
    if cnp.PyArray_NDIM(x) < 2:
        raise ShapeError(f"{op}: the input needs the axes (N, C, ...), got {(<object>x).shape}")
    p.n, p.c, p.s = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1), 1
    for axis in range(2, cnp.PyArray_NDIM(x)):
        p.s *= cnp.PyArray_DIM(x, axis)
    p.x, p.eps, p.relu = cnp.PyArray_DATA(x), eps, relu
    p.weight = p.bias = p.residual = NULL
    if weight is not None:
        weight = _per_channel(op, contiguous_as(weight, typenum), p.c)
        p.weight = cnp.PyArray_DATA(weight)
    if bias is not None:
        bias = _per_channel(op, contiguous_as(bias, typenum), p.c)
        p.bias = cnp.PyArray_DATA(bias)
    if residual is not None:
        if not relu:
            raise ValueError(f"{op}: a residual is added before a ReLU only")
        residual = _same(op, residual, x)
        p.residual = cnp.PyArray_DATA(residual)
    return weight, bias, residual


cdef tuple _group_call(tc_group_norm_call *p, str op, cnp.ndarray x, cnp.ndarray weight, cnp.ndarray bias, shape,
                       double eps, bint centred):
    cdef int typenum = cnp.PyArray_TYPE(x)
    p.rows, p.groups, p.d, p.s = shape
    if p.rows * p.d * p.s != cnp.PyArray_SIZE(x) or p.groups < 1 or p.rows % p.groups:
        raise ShapeError(f"{op}: {(<object>x).shape} cannot be seen as rows, groups, D, S = {tuple(shape)}")
    p.x, p.eps, p.centred = cnp.PyArray_DATA(x), eps, centred
    p.weight = p.bias = NULL
    if weight is not None:
        weight = _per_channel(op, contiguous_as(weight, typenum), p.groups * p.d)
        p.weight = cnp.PyArray_DATA(weight)
    if bias is not None:
        bias = _per_channel(op, contiguous_as(bias, typenum), p.groups * p.d)
        p.bias = cnp.PyArray_DATA(bias)
    return weight, bias


cdef cnp.ndarray _vector(cnp.npy_intp n, int typenum):
    return pool_empty(1, &n, typenum)


# `values`, if there are as many as are needed.
cdef cnp.ndarray _per_channel(str op, cnp.ndarray values, Py_ssize_t wanted):
    if cnp.PyArray_SIZE(values) != wanted:
        raise ShapeError(f"{op}: needs {wanted} values of weight, bias, mean and variance, got {(<object>values).shape}")
    return values


# `g` as x lies and of its type, if it has x's shape.
cdef cnp.ndarray _same(str op, cnp.ndarray g, cnp.ndarray x):
    if not cnp.PyArray_SAMESHAPE(g, x):
        raise ShapeError(f"{op}: shapes {(<object>g).shape} and {(<object>x).shape} must be equal")
    return contiguous_as(g, cnp.PyArray_TYPE(x))


# running = (1 - momentum) running + momentum factor now, in place.
cdef _move(cnp.ndarray running, cnp.ndarray now, double momentum, double factor):
    cdef Py_ssize_t i
    cdef float *single
    cdef double *wide
    if running is None:
        return
    _per_channel("batch_norm", running, cnp.PyArray_SIZE(now))
    if cnp.PyArray_TYPE(running) != cnp.PyArray_TYPE(now) or not cnp.PyArray_ISCARRAY(running):
        running[...] = (1.0 - momentum) * running + momentum * factor * now
    elif cnp.PyArray_TYPE(now) == cnp.NPY_FLOAT32:
        single = <float *>cnp.PyArray_DATA(running)
        for i in range(cnp.PyArray_SIZE(now)):
            single[i] = <float>((1.0 - momentum) * single[i] + momentum * factor * (<float *>cnp.PyArray_DATA(now))[i])
    else:
        wide = <double *>cnp.PyArray_DATA(running)
        for i in range(cnp.PyArray_SIZE(now)):
            wide[i] = (1.0 - momentum) * wide[i] + momentum * factor * (<double *>cnp.PyArray_DATA(now))[i]
