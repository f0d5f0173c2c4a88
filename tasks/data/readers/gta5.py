"""GTA5 (Playing for Data, Richter et al. 2016): rendered streets with the 19 classes of Cityscapes."""

from __future__ import annotations

import logging
from itertools import compress
from pathlib import Path

from nas.tasks.data.decoding import stored_size
from nas.tasks.data.files import list_images
from nas.tasks.data.items import FileItem, pair_up
from nas.tasks.data.masks import MaskCode
from nas.tasks.data.palettes import CITYSCAPES, CITYSCAPES_TRAIN_IDS, Colour
from nas.tasks.data.parallel import progress_bar, threaded
from nas.tasks.data.readers.layout import find_root
from nas.tasks.data.sets import VOID, Source
from nas.tasks.data.splits import Division, hold_out, left_out
from nas.wording import counted

__all__ = ["read_gta5"]

_log = logging.getLogger(__name__)

# Colours of the label ids that are not scored, for masks saved without the palette: out of view, static, dynamic,
# ground, parking, rail track, guard rail, bridge, tunnel, caravan, trailer.
_UNSCORED: tuple[Colour, ...] = (
    (0, 0, 0),
    (20, 20, 20),
    (111, 74, 0),
    (81, 0, 81),
    (250, 170, 160),
    (230, 150, 140),
    (180, 165, 180),
    (150, 100, 100),
    (150, 120, 90),
    (0, 0, 90),
    (0, 0, 110),
)
_CODE = MaskCode(
    {**{label: CITYSCAPES_TRAIN_IDS.get(label, VOID) for label in range(35)}, 255: VOID},
    {
        **dict.fromkeys(_UNSCORED, VOID),
        **{colour: index for index, colour in enumerate(CITYSCAPES.values())},
    },
    by_index=True,  # in the palette, pole groups have the colour of poles, and licence plates that of cars
)


def _fits(item: FileItem) -> bool:
    """Whether image and mask have the same size, as far as their headers tell; some published pairs do not."""
    sizes = {stored_size(path) for path in (item.image_path, item.mask_path) if path is not None}
    return None in sizes or len(sizes) == 1


def read_gta5(path: Path, progress: bool = False) -> Source:
    """Read `gta5:PATH`, with the folders images/ and labels/.

    The frames are of one long drive, so all splits are cut in time.

    Raises:
        UserError: a folder is missing, or images and masks do not match.
    """
    root = find_root(path, "gta5", ("images", "labels"))
    pairs = pair_up(
        list_images(root / "images"), list_images(root / "labels"), _CODE, lambda _: "drive", f"gta5:{root}"
    )
    with progress_bar(len(pairs), "gta5 sizes", progress) as bar:
        items = tuple(compress(pairs, threaded(_fits, pairs, bar)))
    if len(items) < len(pairs):
        _log.warning("gta5: left out: %s whose mask has another size", counted(len(pairs) - len(items), "frame"))
    rest, test = hold_out(items, share=0.1)
    pool, validation = hold_out(rest, share=0.1)
    spare = left_out(rest, pool, validation)
    splits = Division(pool, validation, test, spare, ranking_declared=False, test_declared=False)
    return Source("gta5", tuple(CITYSCAPES), tuple(CITYSCAPES.values()), **splits._asdict())
