"""A closed recipe. Training a single network is a search with one candidate."""

from nas import Adam, Augment, CrossEntropy, Encoder, Plain, Poly, Recipe, Stage, Supervised, UNet

space = Recipe(
    encoder=Encoder(stages=tuple(Stage(block=Plain(), width=width) for width in (16, 32, 64, 128))),
    decoder=UNet(up="transposed"),
    norm="batch",
    loss=CrossEntropy(weighting="sqrt_median"),
    method=Supervised(),
    optimizer=Adam(lr=3e-3),
    schedule=Poly(power=0.9),
    augment=Augment(),
)
