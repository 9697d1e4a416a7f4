"""Layers, losses and the Module tree, under PyTorch's names."""

from tinygrad_course.nn import functional, init, utils
from tinygrad_course.nn.activation import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from tinygrad_course.nn.container import ModuleDict, ModuleList, Sequential
from tinygrad_course.nn.conv import Conv2d
from tinygrad_course.nn.distance import CosineSimilarity, PairwiseDistance
from tinygrad_course.nn.dropout import Dropout
from tinygrad_course.nn.linear import Flatten, Identity, Linear
from tinygrad_course.nn.loss import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss, NLLLoss
from tinygrad_course.nn.module import Module
from tinygrad_course.nn.parameter import Parameter
from tinygrad_course.nn.pooling import AvgPool2d, MaxPool2d
from tinygrad_course.nn.rnn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNBase, RNNCell, RNNCellBase
from tinygrad_course.nn.sparse import Embedding, EmbeddingBag

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "Conv2d",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "EmbeddingBag",
    "Flatten",
    "GRUCell",
    "Identity",
    "LSTMCell",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "PairwiseDistance",
    "Parameter",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
    "utils",
]
