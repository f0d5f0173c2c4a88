"""Class names and colours of public data sets, and distinct colours for others."""

from __future__ import annotations

__all__ = [
    "ADE20K",
    "CAMVID",
    "CAMVID_ORIGINAL",
    "CITYSCAPES",
    "CITYSCAPES_TRAIN_IDS",
    "VOC",
    "Colour",
    "distinct_colours",
]

Colour = tuple[int, int, int]


def distinct_colours(count: int, skip: int = 0) -> tuple[Colour, ...]:
    """Return distinct colours, made from the bits of their index as in PASCAL VOC; the first `skip` are left out."""
    colours = []
    for index in range(skip, skip + count):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)


CAMVID: dict[str, Colour] = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (0, 0, 192),
    "tree": (128, 128, 0),
    "sign symbol": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
"""The 11 classes of the SegNet tutorial, in the order of the values of its masks."""

# The 32 original classes (Brostow et al. 2008), each with its class among the 11.
CAMVID_ORIGINAL: dict[Colour, str | None] = {
    (64, 128, 64): "pedestrian",  # animal
    (192, 0, 128): "building",  # archway
    (0, 128, 192): "bicyclist",
    (0, 128, 64): "building",  # bridge
    (128, 0, 0): "building",
    (64, 0, 128): "car",
    (64, 0, 192): "pedestrian",  # cart, luggage, pram
    (192, 128, 64): "pedestrian",  # child
    (192, 192, 128): "pole",
    (64, 64, 128): "fence",
    (128, 0, 192): "road",  # lane markings, drivable
    (192, 0, 64): "road",  # lane markings, not drivable
    (128, 128, 64): "sign symbol",  # text
    (192, 0, 192): "bicyclist",  # motorcycle, scooter
    (128, 64, 64): "car",  # other moving
    (64, 192, 128): "pavement",  # parking block
    (64, 64, 0): "pedestrian",
    (128, 64, 128): "road",
    (128, 128, 192): "pavement",  # road shoulder
    (0, 0, 192): "pavement",
    (192, 128, 128): "sign symbol",
    (128, 128, 128): "sky",
    (64, 128, 192): "car",  # SUV, pickup
    (0, 0, 64): "pole",  # traffic cone
    (0, 64, 64): "sign symbol",  # traffic light
    (192, 64, 128): "car",  # train
    (128, 128, 0): "tree",
    (192, 128, 192): "car",  # truck, bus
    (64, 0, 64): "building",  # tunnel
    (192, 192, 0): "tree",  # other vegetation
    (0, 0, 0): None,
    (64, 192, 0): "building",  # wall
}

CITYSCAPES: dict[str, Colour] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}

CITYSCAPES_TRAIN_IDS: dict[int, int] = {
    label: train
    for train, label in enumerate((7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33))
}
"""From the label ids of Cityscapes and GTA5 to the 19 train ids; all other label ids are void."""

_VOC_NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow dining-table dog horse motorbike "
    "person potted-plant sheep sofa train tv-monitor"
)
VOC: dict[str, Colour] = {
    name.replace("-", " "): colour for name, colour in zip(_VOC_NAMES.split(), distinct_colours(21), strict=True)
}

_ADE20K_NAMES = """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth,
    door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug,
    field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column,
    signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path,
    stairs, runway, case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind,
    coffee table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island, computer,
    swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning,
    streetlight, booth, television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator,
    ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
    swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step,
    tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood,
    sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower,
    radiator, glass, clock, flag
"""
ADE20K: dict[str, Colour] = {
    " ".join(name.split()): colour
    for name, colour in zip(_ADE20K_NAMES.split(","), distinct_colours(150, skip=1), strict=True)
}
"""The 150 classes of the scene parsing benchmark; mask value 0 is void, and class k has the value k + 1."""
