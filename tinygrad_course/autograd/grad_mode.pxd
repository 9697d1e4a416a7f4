from tinygrad_course.kernels.local cimport recording, set_recording

cpdef bint is_grad_enabled()
cpdef bint switch_grad(bint enabled)
