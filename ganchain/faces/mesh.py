"""The 478 points of a face in MediaPipe's topology: what each of them is, by number.

Right and left are the person's own: the right eye is on the left of an upright picture.
"""

from __future__ import annotations

from ganchain.framing import Framing

POINTS = 478  # 468 of the face's surface, 5 of each iris
WINDOW = Framing.chip(0.4)  # what the reading network sees: a face turned by 25 degrees has room in it

RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)  # the centre, then the rim
IRISES = RIGHT_IRIS + LEFT_IRIS
RIGHT_UPPER_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)  # from the outer corner to the inner one
RIGHT_LOWER_LID = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_UPPER_LID = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_LOWER_LID = (263, 249, 390, 373, 374, 380, 381, 382, 362)
RIGHT_CONTOUR = (*RIGHT_UPPER_LID, *RIGHT_LOWER_LID[-2:0:-1])  # the rim of the eye's opening, in order
RIGHT_EYE = tuple(dict.fromkeys(RIGHT_UPPER_LID + RIGHT_LOWER_LID))
LEFT_EYE = tuple(dict.fromkeys(LEFT_UPPER_LID + LEFT_LOWER_LID))
UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)  # outer rim, from the right corner to the left one
LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
INNER_UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
MOUTH_OPENING = (*INNER_UPPER_LIP, *INNER_LOWER_LIP[-2:0:-1])  # its rim, in order
LIPS = tuple(dict.fromkeys(UPPER_LIP + LOWER_LIP + INNER_UPPER_LIP + INNER_LOWER_LIP))
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
BROW_TAIL = 70  # the outer end of the right brow
# curves over an eye, from the outer corner to the inner one: the lashes, the lid's crease, the brow's lower edge
RIGHT_LID_RINGS = (RIGHT_UPPER_LID, (130, 247, 30, 29, 27, 28, 56, 190, 243), (156, 46, 53, 53, 52, 52, 65, 55, 193))
LEFT_LID_RINGS = (
    LEFT_UPPER_LID,
    (359, 467, 260, 259, 257, 258, 286, 414, 463),
    (383, 276, 283, 283, 282, 282, 295, 285, 417),
)
# ends of strokes on the right cheek: blush along the cheekbone, above it and below it; its hollow; its highest line
CHEEKBONE, CHEEK_TOP, CHEEK_LOW, HOLLOW, CHEEK_LINE = (50, 116), (117, 143), (205, 147), (207, 137), (118, 143)
RIGHT_CHEEK, LEFT_CHEEK = CHEEKBONE, (280, 345)
NOSE_BRIDGE = (168, 4)
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)

# what is read of the right eye and of the mouth at their own resolution: all points near them but the brows
EYE = (
    *(7, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 33, 56, 110, 112, 113, 130, 133, 144, 145, 153, 154, 155, 157, 158),
    *(159, 160, 161, 163, 173, 174, 189, 190, 221, 222, 223, 224, 225, 226, 228, 229, 230, 231, 232, 233, 243, 244),
    *(246, 247, *RIGHT_IRIS),
)
MOUTH = (
    *(0, 11, 12, 13, 14, 15, 16, 17, 37, 38, 39, 40, 41, 42, 61, 62, 72, 73, 74, 76, 77, 78, 80, 81, 82, 84, 85, 86),
    *(87, 88, 89, 90, 91, 95, 96, 146, 164, 165, 167, 178, 179, 180, 181, 183, 184, 185, 191, 267, 268, 269, 270),
    *(271, 272, 291, 292, 302, 303, 304, 306, 307, 308, 310, 311, 312, 314, 315, 316, 317, 318, 319, 320, 321, 324),
    *(325, 375, 391, 393, 402, 403, 404, 405, 407, 408, 409, 415),
)

# first, last and the partner of the first of runs of points that are each other's mirror images; others are their own
_RUNS = (
    *((3, 3, 248), (7, 7, 249), (20, 93, 250), (95, 150, 324), (153, 163, 380), (165, 167, 391), (169, 174, 394)),
    *((176, 194, 400), (196, 196, 419), (198, 198, 420), (201, 247, 421), (468, 468, 473), (472, 472, 477)),
    *((469, 469, 476), (470, 470, 475), (471, 471, 474)),
)


def _mirror() -> tuple[int, ...]:
    order = list(range(POINTS))
    for first, last, partner in _RUNS:
        for step in range(last - first + 1):
            order[first + step], order[partner + step] = partner + step, first + step
    return tuple(order)


MIRROR = _mirror()  # MIRROR[i]: the point that i becomes in a mirror
