"""Networks from papers, one file per paper."""

from tinygrad_course.models.alexnet import AlexNet, AlexNet2012, alexnet, alexnet2012
from tinygrad_course.models.lenet import LeNet5
from tinygrad_course.models.mobilenet import MobileNetV1, mobilenet_v1
from tinygrad_course.models.mobilenet_v2 import MobileNetV2, mobilenet_v2
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
from tinygrad_course.models.squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from tinygrad_course.models.vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = [
    "VGG",
    "AlexNet",
    "AlexNet2012",
    "LeNet5",
    "MobileNetV1",
    "MobileNetV2",
    "ResNet",
    "SqueezeNet",
    "alexnet",
    "alexnet2012",
    "get_model",
    "get_model_builder",
    "list_models",
    "mobilenet_v1",
    "mobilenet_v2",
    "register_model",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
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
]
