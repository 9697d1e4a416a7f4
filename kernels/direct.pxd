cpdef object unary(int loop, object a)
cpdef object binary(int loop, object a, object b)
cpdef object number(double value, object like)
cpdef bint add_into(object total, object g) except -1
cpdef tuple shape_of(object a)
