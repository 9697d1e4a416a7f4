"""Losses: compiled twins of backend/reference/loss.py.

Design:
* Cross-entropy is softmax, logarithm and selection in one pass over each row, and its gradient one pass over log p: the
  one-hot matrix, p and the smoothed target never exist.  The mean is part of both: for a small batch five more ops cost
  more than all the arithmetic.
* Targets are checked before any arithmetic, so that a wrong label is an IndexError with its value, not a stray read.
* Rows are independent, elementwise losses are cut into blocks of a fixed size: the thread count cannot change a bit.
"""

cimport numpy as cnp

from libc.stdint cimport int64_t
from tinygrad_course.kernels.door cimport chosen_level, contiguous, contiguous_as, empty_like, float_kind
from tinygrad_course.kernels.memory cimport pool_empty
from tinygrad_course.kernels.threads cimport n_threads

from tinygrad_course.errors import ShapeError

cnp.import_array()

cdef extern from "loss.h" nogil:
    ctypedef void (*tc_cross_entropy_fn)(const void *x, const int64_t *target, const void *weight, void *loss,
                                         void *logp, Py_ssize_t n, Py_ssize_t c, int64_t ignore_index,
                                         double smoothing, int threads) noexcept
    ctypedef void (*tc_loss_reduce_fn)(const void *loss, void *out, Py_ssize_t n, double total) noexcept
    ctypedef double (*tc_loss_weight_fn)(const int64_t *target, const void *weight, Py_ssize_t n,
                                         int64_t ignore_index) noexcept
    ctypedef void (*tc_cross_entropy_grad_fn)(const void *g, Py_ssize_t step, double total, const void *logp,
                                              const int64_t *target, const void *weight, void *gx, Py_ssize_t n,
                                              Py_ssize_t c, int64_t ignore_index, double smoothing,
                                              int threads) noexcept
    ctypedef void (*tc_bce_fn)(const void *x, const void *target, void *loss, Py_ssize_t n, int threads) noexcept
    ctypedef void (*tc_bce_grad_fn)(const void *g, const void *x, const void *target, void *gx, Py_ssize_t n,
                                    int threads) noexcept
    ctypedef void (*tc_huber_fn)(const void *x, const void *target, void *loss, Py_ssize_t n, double delta,
                                 int threads) noexcept
    tc_cross_entropy_fn tc_cross_entropy[2][3]
    tc_loss_reduce_fn tc_loss_reduce[2][3]
    tc_loss_weight_fn tc_loss_weight[2][3]
    tc_cross_entropy_grad_fn tc_cross_entropy_grad[2][3]
    tc_bce_fn tc_bce[2][3]
    tc_bce_grad_fn tc_bce_grad[2][3]
    tc_bce_fn tc_bce_with_logits[2][3]
    tc_huber_fn tc_huber[2][3]

KERNELS = ("cross_entropy", "cross_entropy_grad", "bce", "bce_grad", "bce_with_logits", "huber")

cdef enum:
    GRAIN = 50_000      # values that are worth a thread

cdef int _level = chosen_level()


def cross_entropy(cnp.ndarray x, cnp.ndarray target, weight, int64_t ignore_index, double label_smoothing,
                  str reduction="none"):
    """x (N, C), target (N,) -> loss (N,) or (), logp (N, C); see the reference kernel for the formula."""
    cdef int kind = float_kind("cross_entropy", x)
    x = contiguous(x)
    target = contiguous_as(target, cnp.NPY_INT64)
    _check(x, target, weight, ignore_index)
    cdef cnp.ndarray w = None if weight is None else contiguous_as(weight, cnp.PyArray_TYPE(x))
    cdef cnp.ndarray logp = empty_like(x), loss = pool_empty(1, cnp.PyArray_DIMS(x), cnp.PyArray_TYPE(x)), reduced
    cdef void *w_data = NULL if weight is None else cnp.PyArray_DATA(w)
    cdef Py_ssize_t n = cnp.PyArray_DIM(x, 0), c = cnp.PyArray_DIM(x, 1)
    with nogil:
        tc_cross_entropy[kind][_level](cnp.PyArray_DATA(x), <int64_t *>cnp.PyArray_DATA(target), w_data,
                                       cnp.PyArray_DATA(loss), cnp.PyArray_DATA(logp), n, c, ignore_index,
                                       label_smoothing, n_threads(n * c, GRAIN))
    if reduction == "none":
        return loss, logp
    reduced = pool_empty(0, NULL, cnp.PyArray_TYPE(x))
    tc_loss_reduce[kind][_level](cnp.PyArray_DATA(loss), cnp.PyArray_DATA(reduced), n,
                                 _total(kind, target, w_data, ignore_index, reduction))
    return reduced, logp


def cross_entropy_grad(cnp.ndarray g, cnp.ndarray logp, cnp.ndarray target, weight, int64_t ignore_index,
                       double label_smoothing, str reduction="none"):
    """g (N,) or (), logp (N, C), target (N,) -> gradient (N, C) with respect to x."""
    cdef int kind = float_kind("cross_entropy_grad", logp)
    logp = contiguous(logp)
    target = contiguous_as(target, cnp.NPY_INT64)
    _check(logp, target, weight, ignore_index)
    g = contiguous_as(g, cnp.PyArray_TYPE(logp))
    cdef Py_ssize_t step = 1 if reduction == "none" else 0
    if cnp.PyArray_NDIM(g) != step or (step and cnp.PyArray_DIM(g, 0) != cnp.PyArray_DIM(logp, 0)):
        raise ShapeError(f"cross_entropy_grad: with reduction={reduction!r} g must have the shape "
                         f"{(<object>target).shape if step else ()}, got {(<object>g).shape}")
    cdef cnp.ndarray w = None if weight is None else contiguous_as(weight, cnp.PyArray_TYPE(logp))
    cdef cnp.ndarray gx = empty_like(logp)
    cdef void *w_data = NULL if weight is None else cnp.PyArray_DATA(w)
    cdef Py_ssize_t n = cnp.PyArray_DIM(logp, 0), c = cnp.PyArray_DIM(logp, 1)
    cdef double total = _total(kind, target, w_data, ignore_index, reduction)
    with nogil:
        tc_cross_entropy_grad[kind][_level](cnp.PyArray_DATA(g), step, total, cnp.PyArray_DATA(logp),
                                            <int64_t *>cnp.PyArray_DATA(target), w_data, cnp.PyArray_DATA(gx), n, c,
                                            ignore_index, label_smoothing, n_threads(n * c, GRAIN))
    return gx


# What the summed loss is divided by; target has been checked.
cdef double _total(int kind, cnp.ndarray target, const void *weight, int64_t ignore_index, str reduction) except? -1:
    if reduction != "mean":
        return 1
    return tc_loss_weight[kind][_level](<int64_t *>cnp.PyArray_DATA(target), weight, cnp.PyArray_DIM(target, 0),
                                        ignore_index)


def bce(cnp.ndarray x, cnp.ndarray target):
    """-t * log(x) - (1 - t) * log(1 - x), with log at least -100; x and target of one shape."""
    return _elementwise("bce", tc_bce[0][_level], tc_bce[1][_level], x, target)


def bce_with_logits(cnp.ndarray x, cnp.ndarray target):
    """max(x, 0) - x * target + log(1 + exp(-|x|)), elementwise; x and target of one shape."""
    return _elementwise("bce_with_logits", tc_bce_with_logits[0][_level], tc_bce_with_logits[1][_level], x, target)


def huber(cnp.ndarray x, cnp.ndarray target, double delta):
    """c * (d - c / 2) with d = x - target and c = d limited to [-delta, delta]; x and target of one shape."""
    cdef int kind = float_kind("huber", x)
    target = _target("huber", x, target)
    x = contiguous(x)
    cdef cnp.ndarray loss = empty_like(x)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    with nogil:
        tc_huber[kind][_level](cnp.PyArray_DATA(x), cnp.PyArray_DATA(target), cnp.PyArray_DATA(loss), n, delta,
                               n_threads(n, GRAIN))
    return loss


def bce_grad(cnp.ndarray g, cnp.ndarray x, cnp.ndarray target):
    """g * (x - t) / max(x * (1 - x), 1e-12); all of one shape."""
    cdef int kind = float_kind("bce_grad", x)
    if not cnp.PyArray_SAMESHAPE(x, target) or not cnp.PyArray_SAMESHAPE(x, g):
        raise ShapeError(f"bce_grad: g {(<object>g).shape}, x {(<object>x).shape} and target {(<object>target).shape} "
                         "must have one shape")
    x = contiguous(x)
    g = contiguous_as(g, cnp.PyArray_TYPE(x))
    target = contiguous_as(target, cnp.PyArray_TYPE(x))
    cdef cnp.ndarray gx = empty_like(x)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    with nogil:
        tc_bce_grad[kind][_level](cnp.PyArray_DATA(g), cnp.PyArray_DATA(x), cnp.PyArray_DATA(target),
                                  cnp.PyArray_DATA(gx), n, n_threads(n, GRAIN))
    return gx


cdef cnp.ndarray _target(str op, cnp.ndarray x, cnp.ndarray target):
    """The target, contiguous and of x's type."""
    if not cnp.PyArray_SAMESHAPE(x, target):
        raise ShapeError(f"{op}: x {(<object>x).shape} and target {(<object>target).shape} must have one shape")
    return contiguous_as(target, cnp.PyArray_TYPE(x))


cdef _elementwise(str op, tc_bce_fn for_float, tc_bce_fn for_double, cnp.ndarray x, cnp.ndarray target):
    cdef tc_bce_fn function = for_double if float_kind(op, x) else for_float
    target = _target(op, x, target)
    x = contiguous(x)
    cdef cnp.ndarray loss = empty_like(x)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x)
    with nogil:
        function(cnp.PyArray_DATA(x), cnp.PyArray_DATA(target), cnp.PyArray_DATA(loss), n, n_threads(n, GRAIN))
    return loss


# Shapes and every target; target is contiguous int64.
cdef int _check(cnp.ndarray x, cnp.ndarray target, weight, int64_t ignore_index) except -1:
    cdef cnp.npy_intp *dims = cnp.PyArray_DIMS(x)
    cdef int64_t *t = <int64_t *>cnp.PyArray_DATA(target)
    cdef Py_ssize_t i
    if cnp.PyArray_NDIM(x) != 2 or cnp.PyArray_NDIM(target) != 1 or cnp.PyArray_DIM(target, 0) != dims[0]:
        raise ShapeError(f"cross_entropy: needs x (N, C) and target (N,), got {(<object>x).shape} and "
                         f"{(<object>target).shape}")
    if weight is not None and weight.shape != (dims[1],):
        raise ShapeError(f"cross_entropy: weight {weight.shape} must have one entry for each of the {dims[1]} classes")
    for i in range(dims[0]):
        if (t[i] < 0 or t[i] >= dims[1]) and t[i] != ignore_index:
            raise IndexError(
                f"cross_entropy: target[{i}] is {t[i]}, but there are {dims[1]} classes: targets must be 0 to "
                f"{dims[1] - 1}, or ignore_index={ignore_index}. Check the labels or the size of the last layer.")
    return 0
