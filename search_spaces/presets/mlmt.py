"""Both branches of Mittal et al. (2019): S4GAN for segmentation, and a multi-label mean teacher that vetoes classes.

With the paper's settings for Cityscapes, where the second branch helps little, because most images contain most
classes. For PASCAL VOC, S4GAN has threshold 0.6, lr 1e-4 and crops of 321 x 321:

    nas-search --space presets/mlmt.py --budget 1 --data cityscapes:PATH --no-holdout \\
        --labels 372 --size 512x1024 --steps 40000 --repeats 1

See presets/deeplabv2.py for the network and differences from the paper. Here, both branches also share the encoder.
"""

from dataclasses import replace

from nas import MLMT, Fusion
from nas.search_spaces.presets.s4gan import space as s4gan

space = replace(s4gan, method=Fusion(segmentation=s4gan.method, branch=MLMT()))
