# elementwise.py is compiled as it stands: its ops are called so often that Python's own frames would cost most.
