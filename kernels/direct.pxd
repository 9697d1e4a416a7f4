cpdef object unary(int loop, object a)
cpdef object binary(int loop, object a, object b)
cpdef bint add_into(object total, object g) except -1
cpdef tuple shape_of(object a)
