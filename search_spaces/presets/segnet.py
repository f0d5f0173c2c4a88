"""SegNet on the thirteen convolutions of VGG-16 (Badrinarayanan et al. 2017): 29.4 M parameters.

As published: SGD with a constant learning rate of 0.1 and momentum 0.9, 12 images per step, median frequency
balancing, no augmentation. On CamVid, with 367 labelled images of 360 x 480:

    nas-search --space presets/segnet.py --budget 1 --data camvid:PATH --no-holdout --labels all --size 360x480 \\
        --steps 3000 --repeats 1

The paper initializes the encoder with ImageNet weights; here all weights start at random.
"""

from nas import SGD, Augment, Constant, CrossEntropy, Recipe, Supervised
from nas.models import segnet_vgg16

space = Recipe(
    **segnet_vgg16(norm="batch")._asdict(),
    loss=CrossEntropy(weighting="median"),
    method=Supervised(),
    optimizer=SGD(lr=0.1, momentum=0.9, nesterov=False),
    schedule=Constant(),
    augment=Augment(flip=0.0, scale=(1.0, 1.0)),
    labelled_batch=12,
)
