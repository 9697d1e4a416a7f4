cpdef bint recording() noexcept
cpdef bint set_recording(bint enabled) noexcept
cpdef object scope()
cpdef set_scope(object new)
