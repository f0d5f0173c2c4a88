"""Self-supervised pretext tasks and their heads."""

from nas.tasks.pretext.colorization import Colorization
from nas.tasks.pretext.denoising import Denoising
from nas.tasks.pretext.inpainting import Inpainting
from nas.tasks.pretext.jigsaw import Jigsaw
from nas.tasks.pretext.rotation import Rotation

__all__ = ["Colorization", "Denoising", "Inpainting", "Jigsaw", "Rotation"]
