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
        double lr, momentum, dampening, decay
        int nesterov, maximize

    ctypedef struct tc_adam:
        double beta1, beta2, eps, decay, shrink, step_size, gradient_size, root_correction
        int rectified, maximize

    ctypedef struct tc_square:
        double lr, rho, eps, momentum, decay
        int maximize

    ctypedef struct tc_rprop:
        double etaminus, etaplus, smallest, largest
        int maximize

    ctypedef struct tc_asgd:
        double eta, mu, decay, shrink
        int maximize

    ctypedef struct tc_quickprop:
        double lr, growth, decay
        int maximize

    ctypedef struct tc_stretch:
        void *p
        void *g
        void *s[3]
        Py_ssize_t n
        int kind, first

    const int TC_STRETCH, TC_ARRAYS
    const int TC_SGD, TC_ADAM, TC_ADAMAX, TC_NADAM, TC_RADAM, TC_ADAGRAD, TC_ADADELTA, TC_RMSPROP, TC_RPROP, TC_ASGD
    const int TC_QUICKPROP
    void tc_update_all(int rule, const void *settings, const tc_stretch *all, Py_ssize_t n, int level, int threads)

KERNELS = ("sgd_step", "adam_step", "adamax_step", "nadam_step", "radam_step", "adagrad_step", "adadelta_step",
           "rmsprop_step", "rprop_step", "asgd_step", "quickprop_step")

cdef enum:
    GRAIN = 100_000      # elements that are worth a thread

cdef int _level = chosen_level()


def sgd_step(params, grads, momenta, double lr, double momentum, double dampening, double weight_decay, bint nesterov,
             bint maximize):
    """One step of SGD, in place; returns the momentum arrays.  See the reference kernel for the formula."""
    cdef tc_sgd s
    s.lr, s.momentum, s.dampening, s.decay = lr, momentum, dampening, weight_decay
    s.nesterov, s.maximize = nesterov, maximize
    cdef list new_momenta = list(momenta), first = [m is None for m in new_momenta]
    if momentum:
        for i, p in enumerate(params):
            if new_momenta[i] is None:
                new_momenta[i] = empty_like(p)
        _update(TC_SGD, &s, params, grads, [new_momenta], first)
    else:
        _update(TC_SGD, &s, params, grads, [], first)
    return new_momenta


def adam_step(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, double lr, double beta1, double beta2,
              double eps, double weight_decay, bint amsgrad, bint maximize, bint decoupled):
    """One step of Adam, AdamW or AMSGrad, in place.  See the reference kernel for the formula."""
    cdef tc_adam a = _adam(step, lr, beta1, beta2, eps, weight_decay, maximize, decoupled)
    cdef list state = [exp_avgs, exp_avg_sqs]
    if amsgrad:
        state.append(max_exp_avg_sqs)
    _update(TC_ADAM, &a, params, grads, state, None)


def adamax_step(params, grads, exp_avgs, exp_infs, step, double lr, double beta1, double beta2, double eps,
                double weight_decay, bint maximize):
    """One step of Adamax, in place.  See the reference kernel for the formula."""
    cdef tc_adam a = _adam(step, lr, beta1, beta2, eps, weight_decay, maximize, False)
    _update(TC_ADAMAX, &a, params, grads, [exp_avgs, exp_infs], None)


def nadam_step(params, grads, exp_avgs, exp_avg_sqs, step, double lr, double beta1, double beta2, double eps,
               double weight_decay, double mu, double mu_next, double mu_product, bint maximize, bint decoupled):
    """One step of NAdam, in place.  See the reference kernel for the formula."""
    cdef tc_adam a = _adam(step, lr, beta1, beta2, eps, weight_decay, maximize, decoupled)
    a.gradient_size = lr * (1 - mu) / (1 - mu_product)
    a.step_size = lr * mu_next / (1 - mu_product * mu_next)
    _update(TC_NADAM, &a, params, grads, [exp_avgs, exp_avg_sqs], None)


def radam_step(params, grads, exp_avgs, exp_avg_sqs, step, double lr, double beta1, double beta2, double eps,
               double weight_decay, bint maximize, bint decoupled):
    """One step of RAdam, in place.  See the reference kernel for the formula."""
    cdef tc_adam a = _adam(step, lr, beta1, beta2, eps, weight_decay, maximize, decoupled)
    cdef double power = pow(beta2, step), rho_inf = 2 / (1 - beta2) - 1
    cdef double rho = rho_inf - 2 * <double>step * power / (1 - power)
    a.rectified = rho > 5
    if a.rectified:
        a.step_size *= sqrt((1 - power) * (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
    _update(TC_RADAM, &a, params, grads, [exp_avgs, exp_avg_sqs], None)


def adagrad_step(params, grads, sums, double lr, double eps, double weight_decay, bint maximize):
    """One step of Adagrad, in place.  See the reference kernel for the formula."""
    cdef tc_square s = tc_square(lr, 0, eps, 0, weight_decay, maximize)
    _update(TC_ADAGRAD, &s, params, grads, [sums], None)


def adadelta_step(params, grads, square_avgs, acc_deltas, double lr, double rho, double eps, double weight_decay,
                  bint maximize):
    """One step of Adadelta, in place.  See the reference kernel for the formula."""
    cdef tc_square s = tc_square(lr, rho, eps, 0, weight_decay, maximize)
    _update(TC_ADADELTA, &s, params, grads, [square_avgs, acc_deltas], None)


def rmsprop_step(params, grads, square_avgs, grad_avgs, momenta, double lr, double alpha, double eps,
                 double weight_decay, double momentum, bint centered, bint maximize):
    """One step of RMSprop, in place.  See the reference kernel for the formula."""
    cdef tc_square s = tc_square(lr, alpha, eps, momentum, weight_decay, maximize)
    _update(TC_RMSPROP, &s, params, grads,
            [square_avgs, grad_avgs if centered else None, momenta if momentum else None], None)


def rprop_step(params, grads, prevs, step_sizes, double etaminus, double etaplus, double smallest, double largest,
               bint maximize):
    """One step of Rprop, in place.  See the reference kernel for the formula."""
    cdef tc_rprop r = tc_rprop(etaminus, etaplus, smallest, largest, maximize)
    _update(TC_RPROP, &r, params, grads, [prevs, step_sizes], None)


def asgd_step(params, grads, averages, double eta, double mu, double lambd, double weight_decay, bint maximize):
    """One step of averaged SGD, in place.  See the reference kernel for the formula."""
    cdef tc_asgd a = tc_asgd(eta, mu, weight_decay, 1 - lambd * eta, maximize)
    _update(TC_ASGD, &a, params, grads, [averages], None)


def quickprop_step(params, grads, prevs, deltas, double lr, double growth, double weight_decay, bint maximize):
    """One step of Quickprop, in place.  See the reference kernel for the formula."""
    cdef tc_quickprop q = tc_quickprop(lr, growth, weight_decay, maximize)
    _update(TC_QUICKPROP, &q, params, grads, [prevs, deltas], None)


cdef tc_adam _adam(double step, double lr, double beta1, double beta2, double eps, double weight_decay, bint maximize,
                   bint decoupled):
    """What the relatives of Adam have in common."""
    cdef tc_adam a
    a.beta1, a.beta2, a.eps, a.rectified, a.maximize = beta1, beta2, eps, False, maximize
    a.step_size, a.gradient_size, a.root_correction = lr / (1 - pow(beta1, step)), 0, sqrt(1 - pow(beta2, step))
    a.decay = 0 if decoupled else weight_decay
    a.shrink = 1 - lr * weight_decay if decoupled else 1
    return a


cdef int _update(int rule, const void *settings, params, grads, list state, list first) except -1:
    """Cuts the parameters into stretches and runs them.  `state` has up to TC_ARRAYS lists of arrays, None if unused."""
    cdef Py_ssize_t i, size, done, total = 0, n_stretches = 0, k = 0, n_params = len(params)
    cdef cnp.ndarray p
    cdef tc_stretch t
    cdef int itemsize, slot
    if len(grads) != n_params or any(arrays is not None and len(arrays) != n_params for arrays in state):
        raise ValueError(f"optimiser step: {n_params} parameters, but {len(grads)} gradients and "
                         f"{[len(arrays or ()) for arrays in state]} state arrays")
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
    try:
        for i in range(n_params):
            p = params[i]
            size = cnp.PyArray_SIZE(p)
            t.kind = cnp.PyArray_TYPE(p) == cnp.NPY_FLOAT64
            itemsize = 8 if t.kind else 4
            t.p = _data(p, p, t.kind, alive, copies)
            t.g = _data(grads[i], p, t.kind, alive, None)
            for slot in range(TC_ARRAYS):
                arrays = state[slot] if slot < len(state) else None
                t.s[slot] = NULL if arrays is None else _data(arrays[i], p, t.kind, alive, copies)
            t.first = first is not None and first[i]
            for done in range(0, size, TC_STRETCH):
                all[k] = t
                all[k].n = min(size - done, TC_STRETCH)
                k += 1
                t.p, t.g = _after(t.p, itemsize), _after(t.g, itemsize)
                for slot in range(TC_ARRAYS):
                    t.s[slot] = _after(t.s[slot], itemsize)
        with nogil:
            tc_update_all(rule, settings, all, n_stretches, _level, n_threads(total, GRAIN))
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
