"""Data sets with few labels: the embedded scenes, readers, splits and folds, and pixels shared with workers."""

from nas.tasks.data.files import list_images, read_image, resize
from nas.tasks.data.folds import fold
from nas.tasks.data.grouping import Groups, read_groups
from nas.tasks.data.kinds import KINDS, open_source, resolved, same_set
from nas.tasks.data.labels import is_list
from nas.tasks.data.load import load_data
from nas.tasks.data.sets import VOID, FewLabelData, ImageSet, Item, Source, fingerprint
from nas.tasks.data.sharing import SharedData, shared
from nas.tasks.data.summary import Summary, summarize

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
