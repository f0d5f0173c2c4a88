"""DeepLabv2 (Chen et al. 2018) on ResNet-101 at output stride 8, with four dilated classifiers: 43.9 M parameters.

With the training of the supervised baseline of Mittal et al. (2019) on Cityscapes: images of half the size, crops of
256 x 512:

    nas-search --space presets/deeplabv2.py --budget 1 --data cityscapes:PATH --no-holdout \\
        --labels 372 --size 512x1024 --steps 40000 --repeats 1

372 is 1/8 of all 2975 training images, as in the paper (1/4 is 744). `--labels FILE.txt` takes a published list. The
paper starts from ImageNet or COCO weights and freezes batch norm; here all weights start at random and are trained.
"""

from nas import SGD, Augment, CrossEntropy, Poly, Recipe, Supervised
from nas.models import deeplabv2_resnet101

space = Recipe(
    **deeplabv2_resnet101(norm="batch")._asdict(),
    loss=CrossEntropy(),
    method=Supervised(),
    optimizer=SGD(lr=2.5e-4, momentum=0.9, weight_decay=5e-4, nesterov=False, classifier_factor=10),
    schedule=Poly(power=0.9),
    augment=Augment(scale=(1.0, 1.0), crop=(256, 512)),
    labelled_batch=8,
)
