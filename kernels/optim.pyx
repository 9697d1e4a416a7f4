"""Optimiser steps over all parameters in one call: compiled twins of backend/reference/optim.py.

Design:
* The cost of a step on a small network is calls and passes over memory, not arithmetic: one call updates every
  parameter, and each element of p, g and the state is read and written once.
* All parameters are cut into stretches of a fixed number of elements, which the threads share; a stretch is a function
  of its own elements, so the thread count cannot change a bit.
* An array that is not contiguous, or neither float32 nor float64, is copied into one that is, updated and copied back.
* The loops are in optim_impl.h, compiled for each instruction set.
"""

cimport numpy as cnp

from libc.math cimport pow, sqrt
from tinygrad_course.kernels.door cimport chosen_level, contiguous_as, empty_like
from tinygrad_course.kernels.memory cimport tc_free, tc_malloc
from tinygrad_course.kernels.threads cimport n_threads

from tinygrad_course.errors import ShapeError

cnp.import_array()

cdef extern from "optim.h" nogil:
    ctypedef struct tc_sgd:
        double lr, momentum, dampening, weight_decay
        int nesterov, maximize

    ctypedef struct tc_adam:
        double beta1, beta2, eps, step_size, root_correction, decay, shrink
        int maximize

    ctypedef struct tc_stretch:
        void *p
        void *g
        void *m
        void *v
        void *top
        Py_ssize_t n
        int kind, first

    const int TC_STRETCH
    void tc_update_all(int adam, const void *settings, const tc_stretch *all, Py_ssize_t n, int level, int threads)

KERNELS = ("sgd_step", "adam_step")

cdef enum:
    GRAIN = 100_000      # elements that are worth a thread

cdef int _level = chosen_level()


def sgd_step(params, grads, momenta, double lr, double momentum, double dampening, double weight_decay, bint nesterov,
             bint maximize):
    """One step of SGD, in place; returns the momentum arrays.  See the reference kernel for the formula."""
    cdef tc_sgd s
    s.lr, s.momentum, s.dampening, s.weight_decay = lr, momentum, dampening, weight_decay
    s.nesterov, s.maximize = nesterov, maximize
    cdef list new_momenta = list(momenta), first = [m is None for m in new_momenta]
    if momentum:
        for i, p in enumerate(params):
            if new_momenta[i] is None:
                new_momenta[i] = empty_like(p)
        _update(0, &s, params, grads, [new_momenta], first)
    else:
        _update(0, &s, params, grads, [], first)
    return new_momenta


def adam_step(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, double lr, double beta1, double beta2,
              double eps, double weight_decay, bint amsgrad, bint maximize, bint decoupled):
    """One step of Adam, AdamW or AMSGrad, in place.  See the reference kernel for the formula."""
    cdef tc_adam a
    cdef double t = step
    a.beta1, a.beta2, a.eps, a.maximize = beta1, beta2, eps, maximize
    a.step_size = lr / (1 - pow(beta1, t))
    a.root_correction = sqrt(1 - pow(beta2, t))
    a.decay = 0 if decoupled else weight_decay
    a.shrink = 1 - lr * weight_decay if decoupled else 1
    cdef list state = [exp_avgs, exp_avg_sqs]
    if amsgrad:
        state.append(max_exp_avg_sqs)
    _update(1, &a, params, grads, state, None)


cdef int _update(bint adam, const void *settings, params, grads, list state, list first) except -1:
    """Cuts the parameters into stretches and runs them.  `state` has up to three lists: m, v and the largest v."""
    cdef Py_ssize_t i, size, done, total = 0, n_stretches = 0, k = 0, n_params = len(params)
    cdef cnp.ndarray p
    cdef tc_stretch t
    cdef int itemsize, slot
    if len(grads) != n_params or any(len(arrays) != n_params for arrays in state):
        raise ValueError(f"optimiser step: {n_params} parameters, but {len(grads)} gradients and "
                         f"{[len(arrays) for arrays in state]} state arrays")
    for p in params:
        size = cnp.PyArray_SIZE(p)
        n_stretches += (size + TC_STRETCH - 1) // TC_STRETCH
        total += size
    if n_stretches == 0:
        return 0
    cdef tc_stretch *all = <tc_stretch *>tc_malloc(n_stretches * sizeof(tc_stretch))
    if all == NULL:
        raise MemoryError
    cdef list alive = [], copies = []      # keep copied inputs until the end; (original, copy) to be copied back
    cdef (void *)[3] data
    try:
        for i in range(n_params):
            p = params[i]
            size = cnp.PyArray_SIZE(p)
            t.kind = cnp.PyArray_TYPE(p) == cnp.NPY_FLOAT64
            itemsize = 8 if t.kind else 4
            t.p = _data(p, p, t.kind, alive, copies)
            t.g = _data(grads[i], p, t.kind, alive, None)
            data[0] = data[1] = data[2] = NULL
            for slot in range(len(state)):
                data[slot] = _data(state[slot][i], p, t.kind, alive, copies)
            t.m, t.v, t.top = data[0], data[1], data[2]
            t.first = first is not None and first[i]
            for done in range(0, size, TC_STRETCH):
                all[k] = t
                all[k].n = min(size - done, TC_STRETCH)
                k += 1
                t.p, t.g = _after(t.p, itemsize), _after(t.g, itemsize)
                t.m, t.v, t.top = _after(t.m, itemsize), _after(t.v, itemsize), _after(t.top, itemsize)
        with nogil:
            tc_update_all(adam, settings, all, n_stretches, _level, n_threads(total, GRAIN))
    finally:
        tc_free(all)
    for original, copy in copies:
        original[...] = copy
    return 0


# The numbers of x, contiguous and of the parameter's type.  The copy of an array to be written goes to `copies`, which
# is None for arrays that are only read.
cdef void *_data(cnp.ndarray x, cnp.ndarray p, int kind, list alive, list copies) except NULL:
    if not cnp.PyArray_SAMESHAPE(x, p):
        raise ShapeError(f"optimiser step: a gradient or state array of shape {(<object>x).shape} belongs to a "
                         f"parameter of shape {(<object>p).shape}")
    if copies is not None and not cnp.PyArray_ISWRITEABLE(x):
        raise ValueError("optimiser step: a parameter or state array is read-only")
    cdef cnp.ndarray c = contiguous_as(x, cnp.NPY_FLOAT64 if kind else cnp.NPY_FLOAT32)
    if c is not x:
        alive.append(c)
        if copies is not None:
            copies.append((x, c))
    return cnp.PyArray_DATA(c)


cdef inline void *_after(void *x, int itemsize) noexcept nogil:
    return <char *>x + TC_STRETCH * itemsize if x != NULL else NULL
