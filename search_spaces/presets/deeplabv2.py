"""DeepLabv2 (Chen et al. 2018) on ResNet-101 at output stride 8, with four dilated classifiers: 43.9 M parameters.

With the training of the supervised baseline of Mittal et al. (2019) on Cityscapes: images of half the size, crops of
256 x 512:

    nas-search --space presets/deeplabv2.py --budget 1 --data cityscapes:PATH --no-holdout \\
        --labels 372 --size 512x1024 --steps 40000 --repeats 1

372 is 1/8 of all 2975 training images, as in the paper (1/4 is 744). `--labels FILE.txt` takes a published list. The
encoder starts from torchvision's ImageNet weights where resnet101-63fe2227.pth (https://download.pytorch.org/models/)
is in the folder of `--weights-dir` or NAS_WEIGHTS, else from random weights, and the log says so. The paper starts from
ImageNet or COCO weights and freezes batch norm; here it is trained. The paper's multi-scale inputs are in
presets/deeplabv2_multiscale.py; `scales=(0.5, 0.75, 1.0)` adds them to any recipe.
"""

from nas import SGD, Augment, CrossEntropy, Poly, Pretrained, Recipe, Supervised
from nas.models import deeplabv2_resnet101

network = deeplabv2_resnet101(norm="batch")

space = Recipe(
    encoder=Pretrained(network.encoder, weights="imagenet", optional=True),
    decoder=network.decoder,
    norm=network.norm,
    loss=CrossEntropy(),
    method=Supervised(),
    optimizer=SGD(lr=2.5e-4, momentum=0.9, weight_decay=5e-4, nesterov=False, classifier_factor=10),
    schedule=Poly(power=0.9),
    augment=Augment(scale=(1.0, 1.0), crop=(256, 512)),
    labelled_batch=8,
)
