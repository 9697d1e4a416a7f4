"""Networks from papers, one file per paper."""

from tinygrad_course.models.alexnet import AlexNet, AlexNet2012, alexnet, alexnet2012
from tinygrad_course.models.autoencoder import Autoencoder, DenoisingAutoencoder
from tinygrad_course.models.densenet import (
    DenseNet,
    DenseNetCIFAR,
    densenet121,
    densenet161,
    densenet169,
    densenet201,
    densenet_cifar,
)
from tinygrad_course.models.googlenet import GoogLeNet, GoogLeNet2014, GoogLeNetOutputs, googlenet, googlenet2014
from tinygrad_course.models.lenet import LeNet5
from tinygrad_course.models.mlp import MLP
from tinygrad_course.models.mobilenet import MobileNetV1, mobilenet_v1
from tinygrad_course.models.mobilenet_v2 import MobileNetV2, mobilenet_v2
from tinygrad_course.models.nettalk import NETtalk
from tinygrad_course.models.nin import NIN, NINCIFAR, nin, nin_cifar
from tinygrad_course.models.perceptron import LogisticUnit, Perceptron, SoftmaxUnit
from tinygrad_course.models.rbf import RBFNetwork
from tinygrad_course.models.registry import get_model, get_model_builder, list_models, register_model
from tinygrad_course.models.resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from tinygrad_course.models.resnet_cifar import (
    ResNetCIFAR,
    plain20,
    plain32,
    plain44,
    plain56,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
)
from tinygrad_course.models.separability import Separation, separate
from tinygrad_course.models.squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from tinygrad_course.models.vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from tinygrad_course.models.weight_matrix import WeightMatrixNetwork
from tinygrad_course.models.wide_resnet import WideResNet, wrn
from tinygrad_course.models.zfnet import ZFNet, zfnet

__all__ = [
    "MLP",
    "NIN",
    "NINCIFAR",
    "VGG",
    "AlexNet",
    "AlexNet2012",
    "Autoencoder",
    "DenoisingAutoencoder",
    "DenseNet",
    "DenseNetCIFAR",
    "GoogLeNet",
    "GoogLeNet2014",
    "GoogLeNetOutputs",
    "LeNet5",
    "LogisticUnit",
    "MobileNetV1",
    "MobileNetV2",
    "NETtalk",
    "Perceptron",
    "RBFNetwork",
    "ResNet",
    "ResNetCIFAR",
    "Separation",
    "SoftmaxUnit",
    "SqueezeNet",
    "WeightMatrixNetwork",
    "WideResNet",
    "ZFNet",
    "alexnet",
    "alexnet2012",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "densenet_cifar",
    "get_model",
    "get_model_builder",
    "googlenet",
    "googlenet2014",
    "list_models",
    "mobilenet_v1",
    "mobilenet_v2",
    "nin",
    "nin_cifar",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "register_model",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "separate",
    "squeezenet1_0",
    "squeezenet1_1",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "wrn",
    "zfnet",
]
