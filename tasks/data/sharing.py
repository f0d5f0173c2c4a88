"""One copy of the pixels for all worker processes: shared memory, or files where memory is short."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    """Where an array lies: a shared memory segment or a file, and the place in it."""

    where: str
    in_memory: bool
    start: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SharedData:
    """A handle to a data set in another process: a few hundred bytes, to be pickled and opened there.

    It is good for as long as the `shared` block that made it; arrays already open outlive that.
    """

    text: Block
    images: tuple[Block, ...]
    masks: tuple[Block | None, ...]

    def open(self) -> FewLabelData:
        """The data set, read only and without a copy of its pixels.

        Raises:
            FileNotFoundError: the owner has ended its `shared` block.
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
            taken=tuple(text["taken"]),
            native=None if text["native"] is None else (text["native"][0], text["native"][1]),
            groups=tuple(text["groups"]),
            unlabelled_groups=tuple(text["unlabelled_groups"]),
            folds=text["folds"],
            scale=PixelScale.from_json(text["scale"]),
        )


@contextlib.contextmanager
def shared(data: FewLabelData, cache_gb: float = 4.0, folder: Path | None = None) -> Iterator[SharedData]:
    """Lay `data` out for other processes, and free that when the block ends.

    Pixels that load_data already keeps in files are shared as those files. Others go to shared
    memory if they fit in `cache_gb` and in what the system offers, and to one file in `folder` (a
    temporary one where None) otherwise. Should the owner be killed, Python's resource tracker frees
    the memory, and the next owner that uses the folder removes the file.

    Args:
        data: what to share; it stays as it is.
        cache_gb: the most memory to share, in gigabytes (1e9 bytes).
        folder: where files go, such as the run's own folder.
    """
    # Two parts may be the same images, as those to learn from and to rank on are with folds.
    sets = list({id(part): part for part in (getattr(data, name) for name in _PARTS)}.values())
    text = json.dumps(
        {
            "name": data.name,
            "classes": data.classes,
            "shifted": data.shifted,
            "taken": data.taken,
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
    arrays: list[Pixels | None] = [np.frombuffer(text, np.uint8)]
    for part in sets:
        arrays += [part.images, part.masks]
    blocks: list[Block | None] = [None if array is None else _in_file(array) for array in arrays]
    loose = [place for place, array in enumerate(arrays) if array is not None and blocks[place] is None]
    size = 0
    starts = []
    for place in loose:
        starts.append(size)
        array = arrays[place]
        assert array is not None
        size += -(-array.nbytes // _ALIGN) * _ALIGN
    where, in_memory, buffer, free = _reserve(size, cache_gb, folder)
    try:
        for place, start in zip(loose, starts, strict=True):
            array = arrays[place]
            assert array is not None
            buffer[start : start + array.nbytes].reshape(array.shape)[...] = array
            blocks[place] = Block(where, in_memory, start, array.shape)
        del buffer
        first, *rest = blocks
        assert first is not None
        yield SharedData(first, tuple(b for b in rest[::2] if b is not None), tuple(rest[1::2]))
    finally:
        free()


def _in_file(array: Pixels) -> Block | None:
    """The place of an array that is already the front of a file, None for others."""
    if not isinstance(array, np.memmap) or array.filename is None or not array.size or array.offset:
        return None
    whole: np.ndarray = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    # A slice of a memmap reports the file and the offset of the whole, so its address is what tells.
    if array.ctypes.data != whole.ctypes.data or not array.flags.c_contiguous:
        return None
    array.flush()
    return Block(str(array.filename), False, 0, array.shape)


def _reserve(size: int, cache_gb: float, folder: Path | None) -> tuple[str, bool, Pixels, Callable[[], None]]:
    """Room for `size` bytes: its name, whether it is memory, its bytes, and what frees it."""
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
    """Bytes that can be shared; in a container often 64 MB, and to go over it kills the process."""
    shm = Path("/dev/shm")
    return shutil.disk_usage(shm).free if shm.is_dir() else float("inf")


class _Mapping:
    """A segment as numpy sees it: it is closed when the last array over it is gone, and not before."""

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
    """Another process's segment, without a say in when it is removed.

    Before Python 3.13 attaching reports the segment to this process's resource tracker as if it
    were its own: a process with a tracker apart would remove it when it ends, under the feet of
    everybody else. One that shares its owner's tracker has nothing to add to it.
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
    """The array a block describes; each segment or file is mapped once."""
    if block.where not in places:
        places[block.where] = (
            np.asarray(_Mapping(_attach(block.where))) if block.in_memory else map_pixels(Path(block.where))
        )
    size = int(np.prod(block.shape))
    return places[block.where][block.start : block.start + size].reshape(block.shape)
