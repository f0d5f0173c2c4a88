"""Share one copy of the pixels with all worker processes, in shared memory or in files."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np

from nas.tasks.data.depth import PixelScale
from nas.tasks.data.scratch import discard, map_pixels, scratch_file, scratch_folder
from nas.tasks.data.sets import FewLabelData, ImageSet, Pixels

__all__ = ["SharedData", "shared"]

_PARTS = ("labelled", "unlabelled", "validation", "test")
_ALIGN = 64
_attaching = threading.Lock()


@dataclass(frozen=True)
class Block:
    """Location of an array: a shared memory segment or a file, and the position in it."""

    where: str
    in_memory: bool
    start: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SharedData:
    """Handle of a shared data set: a few hundred bytes that another process unpickles and opens.

    It can be opened until the `shared` block ends. Arrays that are open by then remain valid.
    """

    text: Block
    images: tuple[Block, ...]
    masks: tuple[Block | None, ...]

    def open(self) -> FewLabelData:
        """Open the data set, read-only and without a copy of its pixels.

        Raises:
            FileNotFoundError: the `shared` block of the owner has ended.
        """
        places: dict[str, Pixels] = {}
        text = json.loads(_view(self.text, places).tobytes())
        sets = [
            ImageSet(_view(images, places), None if masks is None else _view(masks, places), tuple(names))
            for images, masks, names in zip(self.images, self.masks, text["names"], strict=True)
        ]
        parts = {part: sets[place] for part, place in zip(_PARTS, text["parts"], strict=True)}
        palette = tuple((red, green, blue) for red, green, blue in text["palette"])
        return FewLabelData(
            text["name"],
            tuple(text["classes"]),
            palette,
            **parts,
            shifted=text["shifted"],
            taken_from_ranking=tuple(text["taken_from_ranking"]),
            native=None if text["native"] is None else (text["native"][0], text["native"][1]),
            groups=tuple(text["groups"]),
            unlabelled_groups=tuple(text["unlabelled_groups"]),
            folds=text["folds"],
            scale=PixelScale.from_json(text["scale"]),
        )


@contextlib.contextmanager
def shared(data: FewLabelData, cache_gb: float = 4.0, folder: Path | None = None) -> Iterator[SharedData]:
    """Share `data` with other processes until the block ends.

    Pixels that load_data keeps in files are shared as these files. Other pixels are copied to shared memory if they fit
    in `cache_gb` and in the memory that the system offers, else to one file. If the owner is killed, Python's resource
    tracker frees the memory, and the next owner that uses the folder removes the file.

    Args:
        data: the data to share; it does not change.
        cache_gb: largest amount of shared memory in gigabytes (1e9 bytes).
        folder: folder of the file, such as that of the run; None for the temporary folder.
    """
    # With folds, the labelled and the validation images are the same object.
    sets = list({id(part): part for part in (getattr(data, name) for name in _PARTS)}.values())
    arrays: list[Pixels | None] = [np.frombuffer(_metadata(data, sets), np.uint8)]
    for part in sets:
        arrays += [part.images, part.masks]
    blocks = [None if array is None else _block_in_file(array) for array in arrays]
    copied = {place: array for place, array in enumerate(arrays) if array is not None and blocks[place] is None}
    sizes = [-(-array.nbytes // _ALIGN) * _ALIGN for array in copied.values()]
    where, in_memory, buffer, free = _reserve(sum(sizes), cache_gb, folder)
    try:
        for (place, array), start in zip(copied.items(), accumulate(sizes[:-1], initial=0), strict=True):
            buffer[start : start + array.nbytes].reshape(array.shape)[...] = array
            blocks[place] = Block(where, in_memory, start, array.shape)
        del buffer
        first, *rest = blocks
        assert first is not None
        yield SharedData(first, tuple(b for b in rest[::2] if b is not None), tuple(rest[1::2]))
    finally:
        free()


def _metadata(data: FewLabelData, sets: Sequence[ImageSet]) -> bytes:
    """Everything but the pixels as JSON; "parts" maps each part of the data to its index in `sets`."""
    return json.dumps(
        {
            "name": data.name,
            "classes": data.classes,
            "shifted": data.shifted,
            "taken_from_ranking": data.taken_from_ranking,
            "native": data.native,
            "palette": data.palette,
            "groups": data.groups,
            "unlabelled_groups": data.unlabelled_groups,
            "folds": data.folds,
            "scale": data.scale.to_json(),
            "parts": [next(i for i, each in enumerate(sets) if each is getattr(data, part)) for part in _PARTS],
            "names": [part.names for part in sets],
        }
    ).encode()


def _block_in_file(array: Pixels) -> Block | None:
    """Location of an array at the start of a mapped file, None for any other array."""
    if not isinstance(array, np.memmap) or array.filename is None or not array.size or array.offset:
        return None
    whole: np.ndarray = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    # A slice of a memmap has the file name and the offset of the whole; only its address differs.
    if array.ctypes.data != whole.ctypes.data or not array.flags.c_contiguous:
        return None
    array.flush()
    return Block(str(array.filename), False, 0, array.shape)


def _reserve(size: int, cache_gb: float, folder: Path | None) -> tuple[str, bool, Pixels, Callable[[], None]]:
    """Reserve `size` bytes; return their name, whether it is memory, the bytes, and a function that frees them."""
    if size <= cache_gb * 1e9 and size < 0.9 * _free_shared_memory():
        segment = SharedMemory(create=True, size=max(1, size))
        bytes_ = np.asarray(_Mapping(segment, writable=True))

        def free() -> None:
            segment.unlink()

        return segment.name, True, bytes_, free
    file = scratch_file(scratch_folder(folder), size)
    mapped = np.memmap(file.name, dtype=np.uint8, mode="r+")
    return file.name, False, mapped, lambda: discard(file)


def _free_shared_memory() -> float:
    """Free shared memory in bytes. Containers often have 64 MB, and a process that uses more is killed."""
    shm = Path("/dev/shm")
    return shutil.disk_usage(shm).free if shm.is_dir() else float("inf")


class _Mapping:
    """A segment as a NumPy array interface: it is closed together with the last array on it."""

    def __init__(self, segment: SharedMemory, writable: bool = False) -> None:
        self.segment = segment
        assert segment.buf is not None  # it is None once closed
        address = np.frombuffer(segment.buf, np.uint8).ctypes.data
        self.__array_interface__ = {
            "shape": (segment.size,),
            "typestr": "|u1",
            "data": (address, not writable),
            "version": 3,
        }


def _attach(name: str) -> SharedMemory:
    """Attach to the segment of another process without tracking it.

    Before Python 3.13, attaching registers the segment with the resource tracker of this process. If this is not the
    tracker of the owner, it would remove the segment when this process ends, while others still use it.
    """
    if sys.version_info >= (3, 13):
        return SharedMemory(name=name, track=False)
    with _attaching:
        register = resource_tracker.register
        resource_tracker.register = _register_nothing
        try:
            return SharedMemory(name=name)
        finally:
            resource_tracker.register = register


def _register_nothing(name: object, rtype: str) -> None:
    pass


def _view(block: Block, places: dict[str, Pixels]) -> Pixels:
    """The array of a block. Each segment or file is mapped once and kept in `places`."""
    if block.where not in places:
        places[block.where] = (
            np.asarray(_Mapping(_attach(block.where))) if block.in_memory else map_pixels(Path(block.where))
        )
    size = int(np.prod(block.shape))
    return places[block.where][block.start : block.start + size].reshape(block.shape)
