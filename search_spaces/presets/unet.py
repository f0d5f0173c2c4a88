"""U-Net (Ronneberger et al. 2015) with batch norm: five levels of widths 64 to 1024, 31.0 M parameters.

Two 3 x 3 convolutions per level, upsampling by transposed convolutions, Adam, five images per step. On Cityscapes with
its 19 classes grouped into four:

    nas-search --space presets/unet.py --budget 1 --data cityscapes:PATH --group-classes presets/cityscapes_4.json \\
        --no-holdout --labels all --size 256x512 --steps 40000 --repeats 1
"""

from nas import Adam, Augment, CrossEntropy, Poly, Recipe, Supervised
from nas.models import unet

space = Recipe(
    **unet(width=64, levels=5, up="transposed", norm="batch")._asdict(),
    loss=CrossEntropy(),
    method=Supervised(),
    optimizer=Adam(lr=1e-3),
    schedule=Poly(power=0.9),
    augment=Augment(),
    labelled_batch=5,
)
