cdef _deliver(dict pending, list heap, edge, g)
cdef _accumulate(target, g, bint create_graph)
