/* Tensors and nodes, which are made and die with every op: both in few steps.  memory.pyx alone includes this.

   Cython's own way costs as much as two or three small ops each time: every base class has its turn, the object leaves the
   collector's list and comes back, CPython's trashcan is asked.  `tc_keep` gives a compiled class another way of dying:

   * A dead object's fields let go of what they hold, in the order in which they are declared, and are None again.  So it is
     what a new one would be, and waits until `tc_blank` takes it.
   * A tiny array that nobody else holds goes to `recycle` and waits for the next result of its shape.
   * What dies because such an object dies stands in a queue until that one is done.  A graph may be a chain of millions of
     nodes: one inside the other they would overflow the stack.
   * An object of a subclass, made in Python or by another module, is freed at once and does not wait: whoever derived the
     class has begun to take the object apart and will go on when we return.

   All of this happens under the interpreter's lock.  An object that dies in another thread while this one's queue is being
   worked off (what a field held may run Python code) joins that queue. */

#ifndef TC_OBJECTS_H
#define TC_OBJECTS_H

#include <Python.h>
#include <stdlib.h>
#include <string.h>

enum {
    TC_KINDS = 8,     /* classes at most */
    TC_RUNS = 4,      /* of fields that stand side by side, at most */
    TC_NUMBERS = 8,   /* words with numbers at most */
    TC_WAIT = 1024    /* objects of a class that wait at most */
};

typedef struct {
    PyTypeObject *type;
    Py_ssize_t weak;                             /* where its weak references hang, 0 if it has none */
    int n_runs, n_numbers;
    struct { short start, end; } run[TC_RUNS];   /* the words that hold objects */
    short number[TC_NUMBERS];                    /* those that are 0 in a new object */
    int waiting;
    PyObject *objects[TC_WAIT];
} tc_kind;

typedef struct {
    PyObject *object;
    tc_kind *kind;
} tc_dead;

static tc_kind tc_kinds[TC_KINDS];
static int tc_n_kinds;
static PyObject *tc_no_arguments;         /* () */
static PyTypeObject *tc_array_type;       /* numpy.ndarray */
static void (*tc_recycle)(PyObject *);    /* what to do with an array that nobody else holds, before it is let go */

static int tc_dying;                      /* an object is letting go of what it holds */
static tc_dead *tc_queue;                 /* those that died meanwhile */
static Py_ssize_t tc_queued, tc_room;

/* Make the object what it was when it was new. */
static inline void tc_let_go(PyObject *o, const tc_kind *kind)
{
    PyObject **words = (PyObject **)o, *const none = Py_None;
    if (kind->weak && words[kind->weak])
        PyObject_ClearWeakRefs(o);
    for (int r = 0; r < kind->n_runs; r++)
        for (PyObject **place = words + kind->run[r].start, **end = words + kind->run[r].end; place < end; place++) {
            PyObject *held = *place;
            if (held == none)
                continue;
            Py_INCREF(none);
            *place = none;
            if (Py_REFCNT(held) == 1 && Py_TYPE(held) == tc_array_type)
                tc_recycle(held);
            Py_DECREF(held);
        }
    for (int i = 0; i < kind->n_numbers; i++)
        words[kind->number[i]] = NULL;
}

static void tc_free_object(PyObject *o, const tc_kind *kind)
{
    for (int r = 0; r < kind->n_runs; r++)
        for (int i = kind->run[r].start; i < kind->run[r].end; i++)
            Py_DECREF(Py_None);
    Py_TYPE(o)->tp_free(o);
}

static inline void tc_bury(PyObject *o, tc_kind *kind)
{
    tc_let_go(o, kind);
    if (kind->waiting < TC_WAIT)
        kind->objects[kind->waiting++] = o;
    else
        tc_free_object(o, kind);
}

/* Whether the object has joined the queue; not if there is no memory for it. */
static int tc_joins_queue(PyObject *o, tc_kind *kind)
{
    if (tc_queued == tc_room) {
        Py_ssize_t room = tc_room ? 2 * tc_room : 256;
        tc_dead *longer = realloc(tc_queue, room * sizeof *longer);
        if (!longer)
            return 0;
        tc_queue = longer;
        tc_room = room;
    }
    tc_queue[tc_queued].object = o;
    tc_queue[tc_queued++].kind = kind;
    return 1;
}

/* What an object of a kept class does when its last reference is gone. */
static inline void tc_die(PyObject *o, tc_kind *kind)
{
    PyObject_GC_UnTrack(o);
    if (Py_TYPE(o) != kind->type) {
        tc_let_go(o, kind);
        tc_free_object(o, kind);
    } else if (!tc_dying) {
        tc_dying = 1;
        tc_bury(o, kind);
        while (tc_queued) {
            const tc_dead next = tc_queue[--tc_queued];
            tc_bury(next.object, next.kind);
        }
        tc_dying = 0;
    } else if (!tc_joins_queue(o, kind))
        tc_bury(o, kind);
}

/* A deallocator is given the object alone, and a search for its class costs time: each class has its own. */
#define TC_DIE(i) static void tc_die_##i(PyObject *o) { tc_die(o, &tc_kinds[i]); }
TC_DIE(0) TC_DIE(1) TC_DIE(2) TC_DIE(3) TC_DIE(4) TC_DIE(5) TC_DIE(6) TC_DIE(7)
static const destructor tc_deaths[TC_KINDS] = {tc_die_0, tc_die_1, tc_die_2, tc_die_3, tc_die_4, tc_die_5, tc_die_6, tc_die_7};

/* A new reference to an object of a class, all of whose fields are None or 0. */
static inline PyObject *tc_blank(PyTypeObject *type)
{
    for (tc_kind *kind = tc_kinds + tc_n_kinds - 1; kind >= tc_kinds; kind--)
        if (kind->type == type && kind->waiting) {
            PyObject *o = kind->objects[--kind->waiting];
            _Py_NewReference(o);
            PyObject_GC_Track(o);
            return o;
        }
    return type->tp_new(type, tc_no_arguments, NULL);
}

/* Let the objects of a compiled class live and die this way.  A class of Python's own is not made of fields: its objects
   do as they always did, and so do those of a class too many.  -1 with an exception if no object can be made. */
static int tc_keep(PyTypeObject *type)
{
    const int head = sizeof(PyObject) / sizeof(void *), size = (int)(type->tp_basicsize / sizeof(void *));
    tc_kind *kind = &tc_kinds[tc_n_kinds];
    if (type->tp_flags & Py_TPFLAGS_HEAPTYPE || !(type->tp_flags & Py_TPFLAGS_HAVE_GC) || type->tp_itemsize
            || type->tp_dictoffset || tc_n_kinds == TC_KINDS)
        return 0;
    for (int i = 0; i < tc_n_kinds; i++)
        if (tc_kinds[i].type == type)
            return 0;
    PyObject *fresh = type->tp_new(type, tc_no_arguments, NULL);
    if (!fresh)
        return -1;
    kind->type = type;
    kind->weak = type->tp_weaklistoffset > 0 ? type->tp_weaklistoffset / (Py_ssize_t)sizeof(void *) : 0;
    for (int i = head; i < size; i++) {   /* a word that is neither None nor 0 is the table of methods */
        void *word = ((void **)fresh)[i];
        if (word == Py_None && kind->n_runs && kind->run[kind->n_runs - 1].end == i)
            kind->run[kind->n_runs - 1].end++;
        else if (word == Py_None && kind->n_runs < TC_RUNS) {
            kind->run[kind->n_runs].start = i;
            kind->run[kind->n_runs++].end = i + 1;
        } else if (!word && i != kind->weak && kind->n_numbers < TC_NUMBERS)
            kind->number[kind->n_numbers++] = i;
        else if ((!word && i != kind->weak) || word == Py_None) {
            PyErr_Format(PyExc_TypeError, "%s has too many fields to be kept; put objects side by side", type->tp_name);
            Py_DECREF(fresh);
            memset(kind, 0, sizeof *kind);
            return -1;
        }
    }
    type->tp_dealloc = tc_deaths[tc_n_kinds++];
    Py_DECREF(fresh);
    return 0;
}

/* Give the memory of all objects that wait back. */
static void tc_free_waiting(void)
{
    for (int i = 0; i < tc_n_kinds; i++)
        while (tc_kinds[i].waiting) {
            PyObject *o = tc_kinds[i].objects[--tc_kinds[i].waiting];
            tc_free_object(o, &tc_kinds[i]);
        }
}

#endif
