"""Naive baselines: predictions without training, which a trained network should beat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import add

import cv2
import numpy as np
import torch

from nas.tasks.data import VOID, ImageSet
from nas.tasks.data.sets import FewLabelData, Pixels
from nas.training import Confusion

__all__ = [
    "CHANNELS",
    "LOCATION_MAP",
    "OTSU",
    "OtsuBaseline",
    "location_map",
    "naive_baselines",
    "naive_confusions",
    "naive_scores",
]

LOCATION_MAP, OTSU = "location map", "Otsu's threshold"

CHANNELS = ("grey", "red", "green", "blue", "saturation")
"""Channels that Otsu's threshold may use. Of channels with equal scores, the first is chosen."""


def naive_scores(labelled: ImageSet, split: ImageSet, classes: int) -> dict[str, float]:
    """Fit the naive baselines to the labelled images and score them on a split.

    Returns:
        The mIoU by name of the baseline: "location map", and with two classes "Otsu's threshold".
    """
    return {name: counted.scores().miou for name, counted in naive_confusions(labelled, split, classes).items()}


def naive_confusions(labelled: ImageSet, split: ImageSet, classes: int) -> dict[str, Confusion]:
    """Fit the naive baselines and return their confusion matrices on a split, by name; see `naive_scores`."""
    assert labelled.masks is not None
    most_frequent = location_map(labelled.masks, classes)
    found = {LOCATION_MAP: _confusion([most_frequent] * len(split), split, classes)}
    if classes == 2:
        otsu = OtsuBaseline.fit(labelled.images, labelled.masks)
        found[OTSU] = _confusion(otsu.predict(split.images), split, classes)
    return found


def naive_baselines(data: FewLabelData, folds: int, seed: int) -> dict[str, dict[str, float]]:
    """Score the naive baselines on the images that candidates are ranked on, and on the test split.

    Args:
        data: the data set.
        folds: number of folds of the labelled images that candidates are ranked on; 0 for the validation split.
        seed: seed of the split into folds.

    Returns:
        The mIoU by name of the baseline and by "validation" and "test".
    """
    classes = len(data.classes)
    views = [data.fold(i, folds, seed) for i in range(folds)] or [data]
    ranked = [naive_confusions(view.labelled, view.validation, classes) for view in views]
    tested = naive_scores(data.labelled, data.test, classes)
    return {
        name: {"validation": reduce(add, (found[name] for found in ranked)).scores().miou, "test": tested[name]}
        for name in tested
    }


def location_map(masks: Pixels, classes: int) -> Pixels:
    """Return the most frequent class at each pixel of masks N x H x W, as H x W uint8. Void is ignored.

    Pixels that are void in all masks get the most frequent class of the data. Of equally frequent classes, the lowest
    is chosen.
    """
    height, width = masks.shape[1:]
    counts = np.zeros(classes, np.int64)
    most_frequent = np.full((height, width), VOID, np.uint8)
    # Row by row, because counts of all classes at all pixels may not fit into memory.
    for row in range(height):
        places = masks[:, row].astype(np.int64) * width + np.arange(width)
        found = np.bincount(places.ravel(), minlength=(VOID + 1) * width).reshape(VOID + 1, width)[:classes]
        most_frequent[row] = np.where(found.any(0), found.argmax(0), VOID)
        counts += found.sum(1)
    most_frequent[most_frequent == VOID] = counts.argmax()
    return most_frequent


@dataclass(frozen=True)
class OtsuBaseline:
    """Segmentation into two classes by a threshold that is chosen for each image (Otsu 1979).

    Attributes:
        channel: channel to threshold, one of CHANNELS.
        bright: class of the pixels above the threshold, 0 or 1.
    """

    channel: str = "grey"
    bright: int = 1

    @classmethod
    def fit(cls, images: Pixels, masks: Pixels) -> OtsuBaseline:
        """Choose the channel and the bright class with the highest mIoU on labelled images.

        Args:
            images: RGB, N x H x W x 3 uint8.
            masks: classes 0 and 1, N x H x W uint8, 255 where void.
        """
        labelled = ImageSet(images, masks, tuple(map(str, range(len(images)))))
        candidates = [cls(channel, bright) for channel, bright in product(CHANNELS, (1, 0))]
        return max(candidates, key=lambda each: _miou(each.predict(images), labelled, 2))

    def predict(self, images: Pixels) -> Pixels:
        """Predict the classes, N x H x W uint8, of RGB images N x H x W x 3 uint8."""
        predicted = np.empty(images.shape[:3], np.uint8)
        for place, image in enumerate(images):
            _, above = cv2.threshold(_channel(image, self.channel), 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
            predicted[place] = above if self.bright else 1 - above
        return predicted


def _channel(image: Pixels, channel: str) -> Pixels:
    """Extract a channel of an RGB image, H x W x 3 to H x W."""
    if channel in CHANNELS[1:4]:
        return np.ascontiguousarray(image[..., CHANNELS.index(channel) - 1])
    image = np.ascontiguousarray(image)
    plane = (
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if channel == "grey" else cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1]
    )
    return np.ascontiguousarray(plane, np.uint8)


def _miou(predicted: Pixels, split: ImageSet, classes: int) -> float:
    """Compute the mIoU of N predicted class maps H x W on a split with masks."""
    return _confusion(predicted, split, classes).scores().miou


def _confusion(predicted: Pixels | list[Pixels], split: ImageSet, classes: int) -> Confusion:
    """Compute the confusion matrix of N predicted class maps H x W on a split with masks."""
    assert split.masks is not None
    confusion = Confusion(classes)
    for prediction, mask in zip(predicted, split.masks, strict=True):
        confusion.add(torch.from_numpy(prediction), torch.from_numpy(np.array(mask)))
    return confusion
