"""Networks that made history, buildable by one call; names of parameters are torchvision's."""

from graphgrad.names import install_getattr as _install_getattr
from graphgrad.nn.models.alexnet_zfnet import (
    AlexNet as AlexNet,
    ZFNet as ZFNet,
    alexnet as alexnet,
    zfnet as zfnet,
)
from graphgrad.nn.models.inception import (
    GoogLeNet as GoogLeNet,
    auxiliary_cross_entropy as auxiliary_cross_entropy,
    googlenet as googlenet,
)
from graphgrad.nn.models.lenet import LeNet5 as LeNet5
from graphgrad.nn.models.resnet import (
    BasicBlock as BasicBlock,
    Bottleneck as Bottleneck,
    ResNet as ResNet,
    resnet18 as resnet18,
    resnet34 as resnet34,
    resnet50 as resnet50,
)
from graphgrad.nn.models.saito import DeepConvNet as DeepConvNet, SimpleConvNet as SimpleConvNet
from graphgrad.nn.models.vgg import (
    VGG as VGG,
    vgg11 as vgg11,
    vgg16 as vgg16,
    vgg19 as vgg19,
)

_install_getattr(__name__)
