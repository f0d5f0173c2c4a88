"""Data: the embedded scenes, readers for real sets, few-label splits, and sharing pixels with workers."""

from tasks.data.files import list_images, read_image, resize
from tasks.data.folds import fold
from tasks.data.grouping import Groups, read_groups
from tasks.data.labels import is_list
from tasks.data.load import KINDS, load_data, open_source, resolved, same_set
from tasks.data.sets import VOID, FewLabelData, ImageSet, Item, Source, fingerprint
from tasks.data.sharing import SharedData, shared
from tasks.data.summary import Summary, summarize

__all__ = [
    "KINDS",
    "VOID",
    "FewLabelData",
    "Groups",
    "ImageSet",
    "Item",
    "SharedData",
    "Source",
    "Summary",
    "fingerprint",
    "fold",
    "is_list",
    "list_images",
    "load_data",
    "open_source",
    "read_groups",
    "read_image",
    "resize",
    "resolved",
    "same_set",
    "shared",
    "summarize",
]
