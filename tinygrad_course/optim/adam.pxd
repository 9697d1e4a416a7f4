from tinygrad_course.optim.optimizer cimport arrays_of, gradients_of
