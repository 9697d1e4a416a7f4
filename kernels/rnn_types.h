/* What the recurrence of one layer and direction is told; see rnn_impl.h.  Sizes and pitches count numbers, not bytes. */
#ifndef TC_RNN_TYPES_H
#define TC_RNN_TYPES_H
#include <stddef.h>

enum { TC_RNN_TANH = 0, TC_RNN_RELU = 1, TC_LSTM = 2, TC_GRU = 3, TC_RNN_KINDS = 4 };

/* Vectors of `padded` numbers per row: gates with recurrent weights, what forward leaves for backward (work), and the
 * gradients of the sums inside the gates (sums).
 *     RNN   work  y                  sums  g
 *     LSTM  work  i f g o c tanh(c)  sums  i f g o            and o tanh(c) after these six where it is projected
 *     GRU   work  r z n m            sums  m r z n      m = W_hn h + b_hn, so that n = tanh(W_in x + b_in + r m) */
static const int tc_rnn_gates[TC_RNN_KINDS] = {1, 1, 4, 3};
static const int tc_rnn_work[TC_RNN_KINDS] = {1, 1, 6, 4};
static const int tc_rnn_sums[TC_RNN_KINDS] = {1, 1, 4, 4};

typedef struct {
    int kind, reverse;
    ptrdiff_t steps, batch, units;
    ptrdiff_t padded;               /* units, rounded up to whole vectors */
    ptrdiff_t outputs, padded_outputs; /* numbers in h: as many as units, unless an LSTM projects */
    const ptrdiff_t *size, *first;  /* per step: its sequences, and its first row in y and work */
    const void *weight;             /* (gates * units, outputs) */
    const void *projection;         /* LSTM: (outputs, units), h = W (o tanh(c)); NULL: h = o tanh(c) */
    const void *bias;               /* GRU: b_hn, or NULL */
    const void *h0, *c0;            /* (batch, outputs), (batch, units); NULL: zeros */
    void *work;                     /* (rows, work, padded): forward finds the input's part of the gates there, unless */
    const void *input;              /* it is here, (groups, gates, padded), once for all equal rows of the input, */
    const ptrdiff_t *group;         /* with the group of every row; else NULL */
    void *y;                        /* (rows, outputs) */
    const void *gy, *gh, *gc;       /* backward: gradients of y and of the last h and c; NULL: zeros */
    void *sums;                     /* (rows, sums, padded) */
    void *gh_rows;                  /* (rows, outputs): gradient of every h, where it is projected */
    void *gh0, *gc0;                /* (batch, outputs), (batch, units) */
} tc_rnn;

static inline ptrdiff_t tc_rnn_work_pitch(const tc_rnn *p) {
    return (tc_rnn_work[p->kind] + (p->projection != NULL)) * p->padded;
}
#endif
