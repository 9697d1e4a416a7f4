cpdef bint alike(object a, object b)
cpdef bint same_shape(object a, object b)
cpdef bint has_shape(object a, tuple shape)
cpdef object fingerprint(object a)
