"""How many threads a kernel may use.

Design:
* One limit for the whole process (`set_num_threads`), not OpenMP's own, which is kept per host thread.
* `omp_get_max_threads()` is still asked first, so that OMP_NUM_THREADS and threadpoolctl are respected, unless the user
  asks for more than that: then the user wins.
* A kernel states its work and its grain; below one grain per thread it stays serial, because entering a parallel region
  costs more than it saves.  The thread count never decides how work is cut into blocks: results are bitwise the same.
* How denormals are treated belongs to a thread, too.  Every team takes it from its caller (see tc_omp.h).
* After fork() the child is limited to one thread: the team of libgomp does not survive a fork, and the first parallel
  region of the child would wait for it for ever.
"""

import os

cdef int _limit = 0      # 0: as many as OpenMP says
cdef int _forked = 0


cdef int n_threads(Py_ssize_t work, Py_ssize_t grain) noexcept nogil:
    cdef int n
    if not TC_HAVE_OPENMP or _forked or work < 2 * grain or omp_in_parallel():
        return 1
    n = _limit if _limit else omp_get_max_threads()
    if work < grain * n:
        n = <int>(work // grain)
    return n


def set_num_threads(int n):
    """Use at most `n` threads in every kernel from now on."""
    global _limit
    if n < 1:
        raise ValueError(f"set_num_threads: the number of threads must be at least 1, got {n}")
    _limit = n


def get_num_threads():
    """Threads that a large kernel uses now."""
    return n_threads(<Py_ssize_t>1 << 60, 1)


def set_flush_denormal(bint mode):
    """Treat denormals as zero in this thread and the teams that it starts; False where the processor cannot."""
    return bool(tc_flush_denormals(mode))


def have_openmp():
    """Whether the kernels were compiled with OpenMP."""
    return bool(TC_HAVE_OPENMP)


def _after_fork_in_child():
    global _forked
    _forked = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
