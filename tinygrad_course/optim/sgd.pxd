from tinygrad_course.autograd.base cimport new_tensor
from tinygrad_course.optim.optimizer cimport arrays_of, gradients_of
