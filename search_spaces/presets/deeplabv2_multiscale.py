"""DeepLabv2 with the multi-scale inputs of its paper (Chen et al. 2018, section 3.2).

One network sees the image at 0.5, 0.75 and 1 of its size, in training and in testing; at each position and class, the
maximum of the three logits counts. The loss is the sum of four, as in the training that the authors released: of the
maximum and of each scale. Parameters stay the same; multiply-adds are 1.8 times as many:

    nas-search --space presets/deeplabv2_multiscale.py --budget 1 --data cityscapes:PATH --no-holdout \\
        --labels 372 --size 512x1024 --steps 40000 --repeats 1

See presets/deeplabv2.py for the network and its training.
"""

from dataclasses import replace

from nas.search_spaces.presets.deeplabv2 import space as deeplabv2

space = replace(deeplabv2, scales=(0.5, 0.75, 1.0))
