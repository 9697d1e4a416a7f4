"""Benchmarks: whole training steps, single ops, overhead, memory and import time, against PyTorch in the same process.

    tinygrad-course bench models        the command
    docs/benchmarks.md                  what is compared, and how to read it
"""
