"""RNN, LSTM and GRU over a sequence; what the kernels compute stands in tinygrad_course/backend/reference/recurrent.py.

Design:
* Three stages.  One matrix product makes the input's part of the gates for all time steps; the recurrence (rnn_impl.h)
  goes through the steps with packed weights and its own threads; in backward, the gradients of weights and input are
  again matrix products over all steps.
* Where the rows of x repeat, as characters do, the product with W_ih is made once for each different row (repeats.h), and
  the gradient of W_ih takes the sum over equal rows first: a third of a character model's work.
* The gates lie in rows of whole vectors.  Where the units fill them, a product covers all gates at once, otherwise it
  is taken gate by gate.
* The product for W_hh needs h(t-1) for every row.  If all sequences are equally long that is y, shifted by one step;
  only packed sequences need a copy.
"""

cimport numpy as cnp
from libc.string cimport memcpy, memset

import numpy as np

from tinygrad_course.kernels.door cimport chosen_level, contiguous_as, float_kind
from tinygrad_course.kernels.gemm cimport gemm, tc_gemm_problem
from tinygrad_course.kernels.memory cimport pool_empty, tc_free, tc_malloc
from tinygrad_course.kernels.threads cimport n_threads

cnp.import_array()

cdef extern from "rnn_types.h" nogil:
    ctypedef struct tc_rnn:
        int kind, reverse
        Py_ssize_t steps, batch, units, padded, outputs, padded_outputs
        const Py_ssize_t *size
        const Py_ssize_t *first
        const void *weight
        const void *projection
        const void *bias
        const void *h0
        const void *c0
        void *work
        const void *input
        const Py_ssize_t *group
        void *y
        const void *gy
        const void *gh
        const void *gc
        void *sums
        void *gh_rows
        void *gh0
        void *gc0
    const int TC_LSTM
    const int TC_GRU
    const int tc_rnn_gates[]
    const int tc_rnn_work[]
    const int tc_rnn_sums[]
    Py_ssize_t tc_rnn_work_pitch(const tc_rnn *p)

cdef extern from "rnn.h" nogil:
    ctypedef int (*tc_rnn_function)(const tc_rnn *p, int threads) noexcept nogil
    ctypedef void (*tc_column_sums_function)(const void *, Py_ssize_t, Py_ssize_t, void *, int) noexcept nogil
    ctypedef int (*tc_group_sums_function)(const void *, Py_ssize_t, Py_ssize_t, const Py_ssize_t *, Py_ssize_t, void *,
                                           int) noexcept nogil
    void *(*tc_scratch_get)(size_t) noexcept nogil
    void (*tc_scratch_put)(void *) noexcept nogil
    tc_rnn_function tc_rnn_forward[2][3]
    tc_rnn_function tc_rnn_backward[2][3]
    tc_column_sums_function tc_column_sums[2][3]
    tc_group_sums_function tc_group_sums[2][3]
    Py_ssize_t tc_repeats(const char *, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t *, Py_ssize_t *, Py_ssize_t *,
                          Py_ssize_t) noexcept nogil
    const int tc_vector[]

KERNELS = ("rnn_forward", "rnn_backward")

cdef dict KINDS = {"tanh": 0, "relu": 1, "lstm": 2, "gru": 3}
cdef int _level = chosen_level()
tc_scratch_get = tc_malloc
tc_scratch_put = tc_free

cdef enum:
    GRAIN = 4_000_000       # operations of the recurrence worth one thread: about 50 us
    SUM_GRAIN = 200_000     # numbers of a column sum
    REPEAT_WORK = 8_000     # operations of a row's product worth a search for equal rows
    SUM_ROWS = 256          # rows in one sum of a weight gradient: longer ones lose digits, PyTorch's end with the step


cdef inline cnp.ndarray _new(Py_ssize_t rows, Py_ssize_t columns, cnp.ndarray like):
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = rows, columns
    return pool_empty(2, shape, cnp.PyArray_TYPE(like))


cdef inline const void *_data(cnp.ndarray x) noexcept:
    return NULL if x is None else cnp.PyArray_DATA(x)


cdef inline void *_at(const void *data, Py_ssize_t index, Py_ssize_t item) noexcept nogil:
    return <char *>data + index * item


cdef inline cnp.ndarray _like(cnp.ndarray x, cnp.ndarray other):
    """`other`, which may be None, contiguous and of the type of x."""
    return None if other is None else contiguous_as(other, cnp.PyArray_TYPE(x))


cdef class _Layer:
    """The sizes of one layer and direction, and its description for C."""

    cdef tc_rnn p
    cdef int type
    cdef Py_ssize_t item, inputs, rows, gates, groups
    cdef cnp.ndarray size, first, group, different, input

    def __init__(self, str op, cnp.ndarray x, cnp.ndarray h0, cnp.ndarray w_ih, cnp.ndarray w_hh, cnp.ndarray w_hr, str kind,
                 cnp.ndarray sizes, bint reverse):
        cdef Py_ssize_t lanes, t, rows = 0
        cdef Py_ssize_t *first
        cdef bint fits = True
        memset(&self.p, 0, sizeof(tc_rnn))
        self.type = float_kind(op, x)
        self.item = cnp.PyArray_ITEMSIZE(x)
        self.p.kind, self.p.reverse = KINDS[kind], reverse
        self.gates = tc_rnn_gates[self.p.kind]
        self.rows, self.inputs = x.shape[0], x.shape[1]
        self.p.outputs = w_hh.shape[1]
        self.p.units = self.p.outputs if w_hr is None else w_hr.shape[1]
        self.p.projection = _data(w_hr)
        if (<object>w_hh).shape != (self.gates * self.p.units, self.p.outputs) or (
                (<object>w_ih).shape != (self.gates * self.p.units, self.inputs)):
            raise ValueError(f"{op}: weights {(<object>w_ih).shape} and {(<object>w_hh).shape} do not fit x "
                             f"{(<object>x).shape} and {kind}")
        if w_hr is not None and (self.p.kind != TC_LSTM or w_hr.shape[0] != self.p.outputs):
            raise ValueError(f"{op}: the projection {(<object>w_hr).shape} does not fit {(<object>w_hh).shape} and {kind}")
        self.size = contiguous_as(sizes, cnp.NPY_INTP)
        self.p.steps = self.size.shape[0]
        self.p.batch = h0.shape[0]
        self.first = np.empty(self.p.steps, np.intp)
        self.p.size = <const Py_ssize_t *>cnp.PyArray_DATA(self.size)
        self.p.first = <const Py_ssize_t *>cnp.PyArray_DATA(self.first)
        first = <Py_ssize_t *>cnp.PyArray_DATA(self.first)
        for t in range(self.p.steps):
            first[t] = rows
            rows += self.p.size[t]
            fits = fits and 0 <= self.p.size[t] <= (self.p.size[t - 1] if t else self.p.batch)
        if not fits or self.p.steps == 0 or self.p.size[0] != self.p.batch or rows != self.rows or (
                (<object>h0).shape != (self.p.batch, self.p.outputs)):
            raise ValueError(f"{op}: x {(<object>x).shape}, h0 {(<object>h0).shape} and sizes {sizes} do not fit")
        lanes = tc_vector[_level] // self.item
        self.p.padded = (self.p.units + lanes - 1) // lanes * lanes
        self.p.padded_outputs = (self.p.outputs + lanes - 1) // lanes * lanes

    cdef int find_repeats(self, cnp.ndarray x) except -1:
        """Set groups and group, and the `different` rows of x; groups = 0 if less than half of the rows are repetitions."""
        cdef Py_ssize_t g, slots = 16, most = self.rows // 2, bytes = self.inputs * self.item
        cdef Py_ssize_t *first
        cdef cnp.ndarray scratch
        if most < 8 or self.inputs * self.gates * self.p.units < REPEAT_WORK:
            return 0
        while slots < 4 * most:
            slots *= 2
        self.group = np.empty(self.rows, np.intp)
        scratch = np.empty(most + slots, np.intp)
        first = <Py_ssize_t *>cnp.PyArray_DATA(scratch)
        self.p.group = <const Py_ssize_t *>cnp.PyArray_DATA(self.group)
        with nogil:
            self.groups = tc_repeats(<const char *>cnp.PyArray_DATA(x), self.rows, bytes, most,
                                     <Py_ssize_t *>self.p.group, first, first + most, slots)
        if self.groups:
            self.different = _new(self.groups, self.inputs, x)
            for g in range(self.groups):
                memcpy(_at(cnp.PyArray_DATA(self.different), g, bytes), _at(cnp.PyArray_DATA(x), first[g], bytes), bytes)
        return 0

    cdef int run(self, tc_rnn_function function) except -1:
        cdef Py_ssize_t work = 2 * self.rows * self.gates * self.p.units * self.p.outputs
        cdef int failed
        with nogil:
            failed = function(&self.p, n_threads(work, GRAIN))
        if failed:
            raise MemoryError("no memory for the scratch of a recurrent layer")
        return 0

    cdef int product(self, tc_gemm_problem *q) except -1:
        cdef int failed
        with nogil:
            failed = gemm(self.type, q)
        if failed:
            raise MemoryError("no memory for the scratch of a matrix product")
        return 0

    cdef Py_ssize_t parts(self, Py_ssize_t gates, Py_ssize_t *units):
        """How many products it takes to cover `gates` neighbouring gates, and the units in each."""
        if self.p.padded == self.p.units:
            units[0] = gates * self.p.units
            return 1
        units[0] = self.p.units
        return gates

    cdef int input_gates(self, cnp.ndarray x, cnp.ndarray w, cnp.ndarray bias) except -1:
        """work = x W_ih^T + bias, or input, if the rows of x repeat"""
        cdef tc_gemm_problem q
        cdef Py_ssize_t units, g
        cdef char *to = <char *>self.p.work
        memset(&q, 0, sizeof(q))
        q.m, q.k = self.rows, self.inputs
        q.c_row = tc_rnn_work_pitch(&self.p)
        self.find_repeats(x)
        if self.groups:
            x, q.m, q.c_row = self.different, self.groups, self.gates * self.p.padded
            self.input = _new(self.groups, q.c_row, x)
            if self.p.padded != self.p.units:
                memset(cnp.PyArray_DATA(self.input), 0, self.groups * q.c_row * self.item)
            self.p.input = cnp.PyArray_DATA(self.input)
            to = <char *>self.p.input
        q.a, q.a_row, q.a_col = cnp.PyArray_DATA(x), self.inputs, 1
        q.b_row, q.b_col = 1, self.inputs
        for g in range(self.parts(self.gates, &units)):
            q.n = units
            q.b = _at(cnp.PyArray_DATA(w), g * units * self.inputs, self.item)
            q.c = _at(to, g * self.p.padded, self.item)
            q.bias = NULL if bias is None else _at(cnp.PyArray_DATA(bias), g * units, self.item)
            self.product(&q)
        return 0

    cdef int input_gradient(self, cnp.ndarray gx, cnp.ndarray w) except -1:
        """gx = sums W_ih"""
        cdef tc_gemm_problem q
        cdef Py_ssize_t units, g
        memset(&q, 0, sizeof(q))
        q.m, q.n = self.rows, self.inputs
        q.a_row, q.a_col = tc_rnn_sums[self.p.kind] * self.p.padded, 1
        q.b_row, q.b_col = self.inputs, 1
        q.c, q.c_row = cnp.PyArray_DATA(gx), self.inputs
        for g in range(self.parts(self.gates, &units)):
            q.k = units
            q.a = _at(self.p.sums, (g + (self.p.kind == TC_GRU)) * self.p.padded, self.item)
            q.b = _at(cnp.PyArray_DATA(w), g * units * self.inputs, self.item)
            q.add = g > 0
            self.product(&q)
        return 0

    cdef int weight_gradient(self, void *gw, const void *sums, Py_ssize_t slot, Py_ssize_t gates, Py_ssize_t row,
                             Py_ssize_t rows, const void *x, Py_ssize_t width, bint add) except -1:
        """gw (+)= sums^T x for `gates` gates from `slot` on, over `rows` rows from `row` on; x lies in rows of `width`."""
        cdef tc_gemm_problem q
        cdef Py_ssize_t units, g, pitch = tc_rnn_sums[self.p.kind] * self.p.padded
        cdef Py_ssize_t start, block, n_blocks = max(1, (rows + SUM_ROWS - 1) // SUM_ROWS)
        memset(&q, 0, sizeof(q))
        q.n = width
        q.a_row, q.a_col = 1, pitch
        q.b_row, q.b_col = width, 1
        q.c_row = width
        for block in range(n_blocks):
            start = rows * block // n_blocks
            q.k = rows * (block + 1) // n_blocks - start
            q.b = _at(x, start * width, self.item)
            q.add = add or block > 0
            for g in range(self.parts(gates, &units)):
                q.m = units
                q.a = _at(sums, (row + start) * pitch + (slot + g) * self.p.padded, self.item)
                q.c = _at(gw, g * units * width, self.item)
                self.product(&q)
        return 0

    cdef int recurrent_gradient(self, void *gw, Py_ssize_t slot, Py_ssize_t gates, cnp.ndarray y, cnp.ndarray h0,
                                cnp.ndarray before) except -1:
        """gw = sums^T h(t-1).  before: h(t-1) per row, or None if all sequences are equally long."""
        cdef Py_ssize_t width = self.p.outputs, batch = self.p.batch, rest = self.rows - self.p.batch
        if before is not None:
            return self.weight_gradient(gw, self.p.sums, slot, gates, 0, self.rows, cnp.PyArray_DATA(before), width, False)
        self.weight_gradient(gw, self.p.sums, slot, gates, rest if self.p.reverse else 0, batch, cnp.PyArray_DATA(h0), width,
                             False)
        if rest:
            self.weight_gradient(gw, self.p.sums, slot, gates, 0 if self.p.reverse else batch, rest,
                                 _at(cnp.PyArray_DATA(y), batch * width if self.p.reverse else 0, self.item), width, True)
        return 0

    cdef int projection_gradient(self, void *gw) except -1:
        """gw = gh^T r, with the gradient of every h and r = o tanh(c), which forward left in work"""
        cdef tc_gemm_problem q
        cdef Py_ssize_t start, block, n_blocks = max(1, (self.rows + SUM_ROWS - 1) // SUM_ROWS)
        memset(&q, 0, sizeof(q))
        q.m, q.n = self.p.outputs, self.p.units
        q.a_row, q.a_col = 1, self.p.outputs
        q.b_row, q.b_col = tc_rnn_work_pitch(&self.p), 1
        q.c, q.c_row = gw, self.p.units
        for block in range(n_blocks):
            start = self.rows * block // n_blocks
            q.k = self.rows * (block + 1) // n_blocks - start
            q.a = _at(self.p.gh_rows, start * self.p.outputs, self.item)
            q.b = _at(self.p.work, start * q.b_row + tc_rnn_work[TC_LSTM] * self.p.padded, self.item)
            q.add = block > 0
            self.product(&q)
        return 0

    cdef cnp.ndarray group_sums(self, cnp.ndarray sums):
        """The sums of the rows of `sums` that belong to equal rows of x."""
        cdef cnp.ndarray out = _new(self.groups, sums.shape[1], sums)
        cdef int failed
        with nogil:
            failed = tc_group_sums[self.type][_level](
                cnp.PyArray_DATA(sums), self.rows, sums.shape[1], self.p.group, self.groups, cnp.PyArray_DATA(out),
                n_threads(self.rows * sums.shape[1], SUM_GRAIN))
        if failed:
            raise MemoryError("no memory for the scratch of a recurrent layer")
        return out

    cdef cnp.ndarray before(self, cnp.ndarray y, cnp.ndarray h0):
        """h(t-1) for every row, if the sequences are not equally long."""
        cdef Py_ssize_t t, b, other, width = self.p.outputs
        cdef char *to
        if self.p.size[self.p.steps - 1] == self.p.batch:
            return None
        cdef cnp.ndarray out = _new(self.rows, width, y)
        to = <char *>cnp.PyArray_DATA(out)
        for t in range(self.p.steps):
            other = t + 1 if self.p.reverse else t - 1
            for b in range(self.p.size[t]):
                if 0 <= other < self.p.steps and b < self.p.size[other]:
                    memcpy(to, _at(cnp.PyArray_DATA(y), (self.p.first[other] + b) * width, self.item), width * self.item)
                else:
                    memcpy(to, _at(cnp.PyArray_DATA(h0), b * width, self.item), width * self.item)
                to += width * self.item
        return out

    cdef cnp.ndarray last(self, cnp.ndarray rows, Py_ssize_t at, Py_ssize_t width, Py_ssize_t pitch):
        """What each sequence ends with: `width` numbers from `at` on of its last row, rows being `pitch` apart."""
        cdef Py_ssize_t b, t = self.p.steps - 1
        cdef cnp.ndarray out = _new(self.p.batch, width, rows)
        for b in range(self.p.batch):
            while not self.p.reverse and self.p.size[t] <= b:
                t -= 1
            if self.p.reverse:
                t = 0
            memcpy(_at(cnp.PyArray_DATA(out), b * width, self.item),
                   _at(cnp.PyArray_DATA(rows), (self.p.first[t] + b) * pitch + at, self.item), width * self.item)
        return out


def rnn_forward(cnp.ndarray x not None, cnp.ndarray h0 not None, cnp.ndarray c0, cnp.ndarray w_ih not None,
                cnp.ndarray w_hh not None, cnp.ndarray b_ih, cnp.ndarray b_hh, str kind, cnp.ndarray sizes not None,
                bint reverse, cnp.ndarray w_hr=None):
    """(y, last h, last c or None, what backward needs) of one layer in one direction."""
    w_hr = _like(x, w_hr)
    cdef _Layer layer = _Layer("rnn_forward", x, h0, w_ih, w_hh, w_hr, kind, sizes, reverse)
    cdef Py_ssize_t units = layer.p.units, outputs = layer.p.outputs, pitch = tc_rnn_work_pitch(&layer.p)
    cdef cnp.ndarray y, work, bias = None
    x, h0, c0 = _like(x, x), _like(x, h0), _like(x, c0)
    w_ih, w_hh, b_ih, b_hh = _like(x, w_ih), _like(x, w_hh), _like(x, b_ih), _like(x, b_hh)
    if b_ih is not None:
        if layer.p.kind == TC_GRU:
            bias = b_ih.copy()
            bias[:2 * units] += b_hh[:2 * units]
            layer.p.bias = _at(cnp.PyArray_DATA(b_hh), 2 * units, layer.item)
        else:
            bias = b_ih + b_hh
    y = _new(layer.rows, outputs, x)
    work = _new(layer.rows, pitch, x)
    layer.p.weight, layer.p.h0, layer.p.c0 = _data(w_hh), _data(h0), _data(c0)
    layer.p.work, layer.p.y = cnp.PyArray_DATA(work), cnp.PyArray_DATA(y)
    layer.input_gates(x, w_ih, bias)
    layer.run(tc_rnn_forward[layer.type][_level])
    return (y, layer.last(y, 0, outputs, outputs),
            layer.last(work, 4 * layer.p.padded, units, pitch) if layer.p.kind == TC_LSTM else None, work)


def rnn_backward(cnp.ndarray x not None, cnp.ndarray h0 not None, cnp.ndarray c0, cnp.ndarray w_ih not None,
                 cnp.ndarray w_hh not None, cnp.ndarray y not None, cnp.ndarray work not None, cnp.ndarray gy,
                 cnp.ndarray gh, cnp.ndarray gc, str kind, cnp.ndarray sizes not None, bint reverse, bint wants_x,
                 bint wants_bias, cnp.ndarray w_hr=None):
    """Gradients (x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr) from those of y, last h and last c, any of which may be None."""
    w_hr = _like(x, w_hr)
    cdef _Layer layer = _Layer("rnn_backward", x, h0, w_ih, w_hh, w_hr, kind, sizes, reverse)
    cdef Py_ssize_t units = layer.p.units, outputs = layer.p.outputs, gates = layer.gates
    cdef Py_ssize_t slots = tc_rnn_sums[layer.p.kind], slot = slots - gates
    cdef cnp.ndarray gx = None, gc0 = None, gb_ih = None, gb_hh = None, gw_hr = None, gh0, gw_ih, gw_hh
    cdef cnp.ndarray gh_rows, before, totals
    cdef cnp.ndarray sums, of_x     # gradients of the gates' sums per row, and per different row of x
    x, h0, c0, y, work = _like(x, x), _like(x, h0), _like(x, c0), _like(x, y), _like(x, work)
    w_ih, w_hh, gy, gh, gc = _like(x, w_ih), _like(x, w_hh), _like(x, gy), _like(x, gh), _like(x, gc)
    if work.shape[1] != tc_rnn_work_pitch(&layer.p):
        raise ValueError(f"rnn_backward: work {(<object>work).shape} was not made by this rnn_forward")
    of_x = sums = _new(layer.rows, slots * layer.p.padded, x)
    gh0 = _new(layer.p.batch, outputs, x)
    if layer.p.kind == TC_LSTM:
        gc0 = _new(layer.p.batch, units, x)
        layer.p.gc0 = cnp.PyArray_DATA(gc0)
    layer.p.weight, layer.p.h0, layer.p.c0 = _data(w_hh), _data(h0), _data(c0)
    layer.p.work, layer.p.y, layer.p.sums = cnp.PyArray_DATA(work), cnp.PyArray_DATA(y), cnp.PyArray_DATA(sums)
    layer.p.gy, layer.p.gh, layer.p.gc, layer.p.gh0 = _data(gy), _data(gh), _data(gc), cnp.PyArray_DATA(gh0)
    if w_hr is not None:
        gh_rows = _new(layer.rows, outputs, x)
        layer.p.gh_rows = cnp.PyArray_DATA(gh_rows)
    layer.run(tc_rnn_backward[layer.type][_level])
    if wants_x:
        gx = _new(layer.rows, layer.inputs, x)
        layer.input_gradient(gx, w_ih)
    gw_ih = _new(gates * units, layer.inputs, x)
    gw_hh = _new(gates * units, outputs, x)
    layer.find_repeats(x)
    if layer.groups:
        x, of_x = layer.different, layer.group_sums(sums)
    layer.weight_gradient(cnp.PyArray_DATA(gw_ih), cnp.PyArray_DATA(of_x), slot, gates, 0, x.shape[0], cnp.PyArray_DATA(x),
                          layer.inputs, False)
    before = layer.before(y, h0)
    if layer.p.kind == TC_GRU:      # slots m r z: the rows of W_hh are r z n
        layer.recurrent_gradient(cnp.PyArray_DATA(gw_hh), 1, 2, y, h0, before)
        layer.recurrent_gradient(_at(cnp.PyArray_DATA(gw_hh), 2 * units * units, layer.item), 0, 1, y, h0, before)
    else:
        layer.recurrent_gradient(cnp.PyArray_DATA(gw_hh), 0, gates, y, h0, before)
    if w_hr is not None:
        gw_hr = _new(outputs, units, x)
        layer.projection_gradient(cnp.PyArray_DATA(gw_hr))
    if wants_bias:
        totals = _new(slots, layer.p.padded, x)
        with nogil:
            tc_column_sums[layer.type][_level](cnp.PyArray_DATA(of_x), of_x.shape[0], slots * layer.p.padded,
                                               cnp.PyArray_DATA(totals),
                                               n_threads(of_x.shape[0] * slots * layer.p.padded, SUM_GRAIN))
        gb_ih = totals[slot:, :units].reshape(-1)
        gb_hh = np.concatenate([totals[1, :units], totals[2, :units], totals[0, :units]]) if slot else gb_ih.copy()
    return gx, gh0, gc0, gw_ih, gw_hh, gb_ih, gb_hh, gw_hr
