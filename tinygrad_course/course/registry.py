"""All rows, in the order of the course.  A new row: one file beside this one, and one line in each of the two lists."""

from tinygrad_course.course import (
    b1_perceptron,
    b2_separability,
    b3_rosenblatt,
    b4_delta_rule,
    b5_logistic_softmax,
    c3_time_series,
    c4_nettalk,
    c5_rbf,
    c8_regularisation,
    c9_optimisers,
    c10_initialisation,
    c12_pretraining,
    c13_random_labels,
    e1_convolution,
    e2_transposed,
    e3_im2col,
    e4_fully_connected,
    e5_pooling,
    e6_normalisation,
    e7_upsampling,
    e8_cost,
    f1_lenet,
    f2_alexnet,
    f3_zfnet,
    f4_vgg,
    f5_nin,
    f6_googlenet,
    f7_resnet,
    f8_wide_resnet,
    f9_densenet,
    f10_mobilenet,
)
from tinygrad_course.course.row import Row

ROWS: dict[str, Row] = {module.ROW.id: module.ROW for module in (
    b1_perceptron, b2_separability, b3_rosenblatt, b4_delta_rule, b5_logistic_softmax,
    c3_time_series, c4_nettalk, c5_rbf, c8_regularisation, c9_optimisers, c10_initialisation, c12_pretraining,
    c13_random_labels,
    e1_convolution, e2_transposed, e3_im2col, e4_fully_connected, e5_pooling, e6_normalisation, e7_upsampling, e8_cost,
    f1_lenet, f2_alexnet, f3_zfnet, f4_vgg, f5_nin, f6_googlenet, f7_resnet, f8_wide_resnet, f9_densenet, f10_mobilenet,
)}
