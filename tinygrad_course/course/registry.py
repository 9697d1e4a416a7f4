"""All rows, in the order of the course.  A new row: one file beside this one, and one line in each of the two lists."""

from tinygrad_course.course import (
    e1_convolution,
    e2_transposed,
    e3_im2col,
    e4_fully_connected,
    e5_pooling,
    e6_normalisation,
    e7_upsampling,
)
from tinygrad_course.course.row import Row

ROWS: dict[str, Row] = {module.ROW.id: module.ROW for module in (
    e1_convolution, e2_transposed, e3_im2col, e4_fully_connected, e5_pooling, e6_normalisation, e7_upsampling,
)}
