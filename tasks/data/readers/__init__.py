"""Readers of data sets: each turns a folder into a `Source`."""

from nas.tasks.data.readers.ade20k import read_ade20k
from nas.tasks.data.readers.camvid import read_camvid
from nas.tasks.data.readers.cityscapes import read_cityscapes
from nas.tasks.data.readers.folder import read_folder
from nas.tasks.data.readers.gta5 import read_gta5
from nas.tasks.data.readers.voc import read_voc

__all__ = ["read_ade20k", "read_camvid", "read_cityscapes", "read_folder", "read_gta5", "read_voc"]
