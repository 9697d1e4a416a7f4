from tinygrad_course.autograd.base cimport TensorBase


cdef class OpMethods(TensorBase):
    pass
