"""S4GAN (Mittal et al. 2019): DeepLabv2 with a discriminator that selects predictions on unlabelled images.

With the paper's settings for Cityscapes. For PASCAL VOC they are threshold 0.6, lr 1e-4 and crops of 321 x 321:

    nas-search --space presets/s4gan.py --budget 1 --data cityscapes:PATH --no-holdout \\
        --labels 372 --size 512x1024 --steps 40000 --repeats 1

See presets/deeplabv2.py for the network and differences from the paper.
"""

from dataclasses import replace

from nas import S4GAN
from nas.search_spaces.presets.deeplabv2 import space as deeplabv2

space = replace(
    deeplabv2,
    method=S4GAN(threshold=0.7, matching=0.1, self_training=1.0, lr=1e-5),
    labelled_batch=8,
    unlabelled_batch=8,
)
