cpdef bint alike(object a, object b)
cpdef bint same_shape(object a, object b)
cpdef bint has_shape(object a, tuple shape)
cpdef object fingerprint(object a)
cpdef bint is_float(object a)
cpdef Py_ssize_t count_classes(object target, Py_ssize_t classes, Py_ssize_t ignored) except -2
cpdef bint all_between(object a, double low, double high) except -1
