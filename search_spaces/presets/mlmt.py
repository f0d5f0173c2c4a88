"""The whole system of Mittal et al. (2019): S4GAN segments, a multi-label mean teacher takes out absent classes.

With the paper's settings for Cityscapes, where the second branch helps little, since most images show most classes;
for PASCAL VOC S4GAN has threshold 0.6, lr 1e-4 and crops of 321 x 321:

    nas-search --space presets/mlmt.py --budget 1 --data cityscapes:PATH --no-holdout \\
        --labels 372 --size 512x1024 --steps 40000 --repeats 1

See presets/deeplabv2.py for the network and what differs from the paper; here the second branch also shares the
encoder of the first.
"""

from dataclasses import replace

from nas import MLMT, Fusion
from nas.search_spaces.presets.s4gan import space as s4gan

space = replace(s4gan, method=Fusion(segmentation=s4gan.method, branch=MLMT()))
