cimport cython

from tinygrad_course.autograd.base cimport TensorBase
from tinygrad_course.kernels.arrays cimport alike

@cython.locals(tensor=TensorBase)
cpdef list arrays_of(list params)
@cython.locals(tensor=TensorBase)
cpdef list gradients_of(list params)
@cython.locals(tensor=TensorBase)
cpdef list _with_gradient(list params)
@cython.locals(tensor=TensorBase)
cpdef bump(list params, str writer)
@cython.locals(tensor=TensorBase)
cpdef _forget_gradients(list params)
@cython.locals(tensor=TensorBase)
cpdef list by_device(list params)
