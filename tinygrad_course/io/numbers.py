"""Numbers in weight files, by the names that safetensors gives the formats, brought to the types that tensors have.

What is not listed in NATIVE is converted without loss: bfloat16, the upper half of a float32, and the 8-bit floats to
float32, unsigned integers of 16, 32 and 64 bits to the next signed type that holds them.

8-bit floats have a sign, 4 or 5 exponent bits and 3 or 2 mantissa bits: Micikevicius et al. 2022, FP8 formats for deep
learning, arXiv:2209.05433 (E4M3, E5M2); Noune et al. 2022, 8-bit numerical formats for deep neural networks,
arXiv:2206.02915 (the FNUZ forms); OCP Microscaling Formats v1.0, 2023 (E8M0).
"""

from functools import cache

import numpy as np

from tinygrad_course.errors import DataError
from tinygrad_course.io.mapped import MappedFile

NATIVE = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1",
          "BOOL": "|b1"}
UNSIGNED = {"U64": "<u8", "U32": "<u4", "U16": "<u2"}
FLOAT8 = ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0")
PATTERNS = {"BF16": "<u2", **dict.fromkeys(FLOAT8, "|u1")}  # read as integers and widened
CODES = NATIVE | UNSIGNED | PATTERNS
REFUSED = {
    "C32": "complex numbers, which tensors here cannot be. Save real and imaginary part as two tensors",
    "C64": "complex numbers, which tensors here cannot be. Save real and imaginary part as two tensors",
    "C128": "complex numbers, which tensors here cannot be. Save real and imaginary part as two tensors",
    "F4": "4-bit floats, two to a byte. Convert them to float32 where the file was made",
    "F6_E2M3": "6-bit floats. Convert them to float32 where the file was made",
    "F6_E3M2": "6-bit floats. Convert them to float32 where the file was made",
    "QUANTISED": "quantised numbers. Dequantise them where the file was made: tensor.dequantize()",
}


def item_size(form: str) -> int:
    """Bytes of one number."""
    return np.dtype(CODES[form]).itemsize


def read_numbers(file: MappedFile, form: str, count: int, start: int, what: str, big_endian: bool = False) -> np.ndarray:
    """`count` numbers from byte `start` of a file; on the file's memory where tensors have the format and it is aligned.

    Numbers of 0 and 1 in a bool are checked: any other byte would be neither true nor false.
    Raises DataError, which begins with `what`, for values that cannot be converted."""
    code = CODES[form]
    values = file.array(code.replace("<", ">") if big_endian else code, count, start)
    if form == "BF16":
        return widen_bfloat16(values)
    if form in FLOAT8:
        return _table(form)[values]
    if form == "BOOL" and values.size and values.view(np.uint8).max() > 1:
        raise DataError(f"{what}: a bool is neither 0 nor 1. The file is damaged; make or download it again.")
    if form not in UNSIGNED:
        return values
    if form == "U64" and values.size and int(values.max()) >= 2**63:
        raise DataError(f"{what} has the type uint64 and values of 2^63 and more, which no integer type of tensors holds. "
                        "Convert it where the file was made.")
    return values.astype(np.int32 if form == "U16" else np.int64)


def widen_bfloat16(raw: np.ndarray) -> np.ndarray:
    """uint16 patterns -> float32"""
    return (raw.astype(np.uint32) << 16).view(np.float32)


@cache
def _table(form: str) -> np.ndarray:
    """The value of each of the 256 patterns."""
    pattern = np.arange(256)
    if form == "F8_E8M0":  # a power of two; no sign, no zero
        values = np.ldexp(1.0, pattern - 127)
        values[255] = np.nan
        return values.astype(np.float32)
    mantissa_bits = 3 if "E4M3" in form else 2
    bias = {"F8_E4M3": 7, "F8_E5M2": 15, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 16}[form]
    magnitude = pattern & 0x7F
    exponent, mantissa = magnitude >> mantissa_bits, magnitude & ((1 << mantissa_bits) - 1)
    # value = 2^(exponent - bias) (1 + mantissa / 2^bits); with exponent 0 (subnormal) 2^(1 - bias) mantissa / 2^bits
    values = np.where(exponent > 0, np.ldexp(1.0 + mantissa / 2**mantissa_bits, exponent - bias),
                      np.ldexp(mantissa / 2**mantissa_bits, 1 - bias))
    values = np.where(pattern & 0x80, -values, values)
    if form.endswith("FNUZ"):  # finite, no negative zero: its pattern is the only NaN
        values[0x80] = np.nan
    elif form == "F8_E4M3":  # finite: one pattern, of either sign, is NaN
        values[magnitude == 0x7F] = np.nan
    else:  # E5M2 has infinities and NaN as IEEE 754
        values[magnitude == 0x7C] *= np.inf
        values[magnitude > 0x7C] = np.nan
    return values.astype(np.float32)
