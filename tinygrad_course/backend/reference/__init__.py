"""Every kernel in NumPy: documentation, fallback and oracle of the compiled ones."""
