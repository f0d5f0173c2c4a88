"""The outputs of nas-predict: overlays and masks in a folder. No file that it did not write is overwritten."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.inputs import Input
from nas.errors import UserError
from nas.files import replacing

if TYPE_CHECKING:
    import numpy as np

__all__ = ["KINDS", "Pictures"]

KINDS = ("both", "overlays", "masks")

LEGEND = "legend.png"
"""Written first; it marks a folder of predictions."""


@dataclass
class Pictures:
    """Writes the pictures of a folder, and a legend before the first one.

    Attributes:
        folder: output folder.
        kind: one of `KINDS`.
        opacity: opacity of the classes' colours over the photo.
        classes: names of the classes.
        palette: RGB colours of the classes.
        bare: classes that overlays show without a colour.
    """

    folder: Path
    kind: str
    opacity: float
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    bare: Collection[int]
    _has_legend: bool = field(default=False, init=False)

    def prepare(self, inputs: Sequence[Input], others: Iterable[Path] = ()) -> None:
        """Make the folder, and check that no picture would overwrite another file.

        Raises:
            UserError: a picture would overwrite an input, one of the `others` or any file of somebody else, or be
                written through a link.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise UserError(f"--out {self.folder} is a file: choose a folder") from None
        read = {path.resolve() for path in (*others, *(each.path for each in inputs))}
        own = (self.folder / LEGEND).is_file()
        for target in (self.folder / LEGEND, *(target for each in inputs for target in self.targets(each))):
            link = next((p for p in target.parents if self.folder in p.parents and p.is_symlink()), None)
            if link is not None:
                raise UserError(f"{link} is a link to another folder: choose another --out")
            if target.resolve() in read:
                raise UserError(f"{target} is one of the files that are read: choose another --out")
            if target.exists() and not own:
                raise UserError(f"{target} is there already and is no prediction: choose another --out")

    def targets(self, source: Input) -> list[Path]:
        """Output files of an input; for the masks of a video, their folder."""
        stem = self.folder / source.name
        if source.video:
            ends = ["_masks"] if self.kind == "masks" else ["_overlay.mp4", "_overlay.avi"]
        else:
            suffix = ".jpg" if source.path.suffix.lower() in (".jpg", ".jpeg", ".jfif") else ".png"
            ends = [f"_overlay{suffix}"] if self.kind != "masks" else []
            ends += ["_mask.png"] if self.kind != "overlays" else []
        return [stem.with_name(f"{stem.name}{end}") for end in ends]

    def write_photo(self, source: Input, image: np.ndarray, mask: np.ndarray) -> None:
        """Write the pictures of a photo (RGB, H x W x 3 uint8) with its class indices (H x W uint8)."""
        pictures = [] if self.kind == "masks" else [self._overlay(image, mask, _counts(mask))]
        self._write_legend()
        for target, picture in zip(self.targets(source), [*pictures, mask], strict=False):
            _write(target, picture)

    def write_video(self, source: Input, frames: Iterator[tuple[np.ndarray, np.ndarray]], rate: float) -> None:
        """Write the overlays of a video as a video, or its masks as files, from frames and their class indices."""
        from nas.export.video import VideoWriter

        self._write_legend()
        target = self.targets(source)[0]
        if self.kind == "masks":
            for number, (_, mask) in enumerate(frames):
                _write(target / f"{number:06d}.png", mask)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(target.with_suffix(""), rate) as writer:
            seen: np.ndarray | None = None
            for image, mask in frames:
                # A legend of all classes so far changes less from frame to frame.
                seen = _counts(mask) if seen is None else seen + _counts(mask)
                writer.write(self._overlay(image, mask, seen))

    def _write_legend(self) -> None:
        from nas.export import legend

        if not self._has_legend:
            _write(self.folder / LEGEND, legend(self.classes, self.palette, self.bare))
            self._has_legend = True

    def _overlay(self, image: np.ndarray, mask: np.ndarray, counts: np.ndarray) -> np.ndarray:
        from nas.export import overlay, with_legend

        shown = [int(index) for index in (-counts).argsort(kind="stable") if counts[index]]
        painted = overlay(image, mask, self.palette, self.opacity, self.bare)
        return with_legend(painted, shown, self.classes, self.palette, self.bare)


def _counts(mask: np.ndarray) -> np.ndarray:
    """Pixels of each class, as an array of length 256."""
    import cv2
    import numpy as np

    return np.asarray(cv2.calcHist([mask], [0], None, [256], [0, 256])).ravel()


def _write(path: Path, picture: np.ndarray) -> None:
    """Write class indices (H x W) or an RGB image (H x W x 3)."""
    import cv2

    _, data = cv2.imencode(path.suffix, picture if picture.ndim == 2 else picture[..., ::-1])
    with replacing(path) as temporary:  # replaces a link instead of following it
        temporary.write_bytes(data.tobytes())
