"""Kinds of headwear, as ranges of the measures that ``headwear`` draws by."""

from __future__ import annotations

Range = tuple[float, float]
# Dome: its half width as a share of the head's, how far it stands above the hair, the power of its outline, its lower
# edge as a share of the forehead, how far that droops at the sides (round, straight), how much narrower, dented and
# sheared its top is, its turn. Strip: its height, whether it is all there is. Visor: half width, half height. Brim:
# half width, half height, how far its sides bend down, its place (0 the lower edge, 1 the top), the power of its
# outline. Drape: whether there is one, flare, lower end, half width of the opening, how far the chin is covered,
# whether it is open below. Surface: height of folds, their slope, ribs, seams, gloss, radius of the bobble.
MEASURES: dict[str, Range] = {
    "wide": (1.0, 1.1), "rise": (0.02, 0.12), "power": (2, 2.6), "low": (0.35, 1.0), "droop": (0.0, 0.3),
    "peak": (0, 0), "taper": (0, 0), "dent": (0, 0), "shear": (-0.05, 0.05), "turn": (-0.12, 0.12),
    "strip": (0, 0), "only": (0, 0), "visor": (0, 0), "drop": (0.05, 0.1),
    "brim": (0, 0), "flat": (0.1, 0.2), "bend": (0, 0), "place": (0, 0), "sharp": (2, 2),
    "drape": (0, 0), "flare": (-0.8, -0.2), "end": (-3, -3), "open": (0.47, 0.54), "chin": (0, 0), "split": (0, 0),
    "folds": (0, 1.2), "slope": (-0.5, 0.5), "ribs": (0, 0), "seams": (0, 0), "gloss": (0, 0), "bobble": (0, 0),
}  # fmt: skip
HEADWEAR: dict[str, dict[str, Range]] = {
    "cap": {
        "visor": (0.4, 0.62), "drop": (0.07, 0.26), "droop": (0.1, 0.45), "seams": (0.2, 1), "low": (0.4, 1.05),
        "turn": (-0.2, 0.2), "folds": (0, 0.6), "rise": (0.0, 0.16),
    },
    "cap backwards": {"droop": (-0.05, 0.25), "seams": (0.2, 1), "strip": (0.0, 0.08), "rise": (0, 0.12)},
    "beanie": {
        "rise": (0.02, 0.4), "strip": (-0.1, 0.3), "ribs": (0, 1.5), "droop": (0.1, 0.5), "shear": (-0.25, 0.25),
        "bobble": (-0.3, 0.2), "low": (0.15, 1.1), "taper": (0, 0.25),
    },
    "brimmed": {
        "wide": (0.92, 1.05), "rise": (0.05, 0.4), "power": (2.5, 5), "taper": (0, 0.25), "dent": (0, 0.2),
        "strip": (0.05, 0.18), "brim": (0.85, 1.6), "flat": (0.07, 0.38), "bend": (-0.15, 0.25), "turn": (-0.2, 0.2),
        "droop": (0, 0.1), "low": (0.4, 1.1),
    },
    "scarf": {
        "drape": (1, 1), "wide": (1.0, 1.2), "rise": (0.02, 0.15), "flare": (0.02, 0.5), "end": (-3.5, -1.1),
        "chin": (-0.12, 0.12), "folds": (0.5, 4), "slope": (-2, 2), "low": (0.5, 1.15), "taper": (0, 0.15),
    },
    "loose scarf": {
        "drape": (1, 1), "wide": (1.05, 1.25), "rise": (0.02, 0.15), "flare": (0.05, 0.4), "end": (-3.5, -1.3),
        "chin": (-0.3, 0.1), "folds": (0.5, 4), "slope": (-1, 2.5), "low": (0.8, 1.5), "open": (0.5, 0.62),
        "split": (0, 0.5),
    },
    "helmet": {
        "wide": (1.05, 1.25), "rise": (0.08, 0.3), "gloss": (0.1, 0.8), "brim": (0.65, 0.85), "flat": (0.04, 0.14),
        "visor": (-0.3, 0.5), "folds": (0, 0.1), "seams": (-0.5, 1), "droop": (-0.1, 0.4), "low": (0.4, 1.1),
    },
    "mortarboard": {
        "rise": (-0.2, 0.0), "brim": (0.8, 1.1), "flat": (0.08, 0.28), "place": (0.85, 1.0), "sharp": (1.0, 1.15),
        "power": (2.5, 4), "low": (0.6, 1.1), "folds": (0, 0.3), "peak": (-0.1, 0.15), "turn": (-0.2, 0.2),
    },
    "bandana": {"rise": (0, 0.05), "wide": (1.0, 1.05), "droop": (0.05, 0.45), "folds": (0.3, 2.5), "slope": (-2, 2)},
    "headband": {"strip": (0.1, 0.36), "only": (1, 1), "droop": (-0.1, 0.5), "rise": (0.02, 0.06), "folds": (0, 1.5)},
}  # fmt: skip
KEPT_BACK: dict[str, dict[str, Range]] = {  # to test what was not trained on
    "turban": {
        "wide": (1.15, 1.5), "rise": (0.12, 0.45), "power": (1.9, 2.3), "low": (0.4, 1.0), "peak": (0.1, 0.5),
        "folds": (2, 6), "slope": (0.6, 1.6), "taper": (-0.1, 0.1), "flare": (-2, -0.8),
    },
    "hood": {
        "drape": (1, 1), "wide": (1.15, 1.5), "rise": (0.05, 0.25), "power": (1.7, 2.2), "flare": (0.1, 0.6),
        "end": (-3.5, -1.6), "open": (0.52, 0.66), "low": (0.9, 1.7), "chin": (-0.35, 0.1), "folds": (0.5, 3),
        "slope": (1, 3), "split": (0, 0.8),
    },
}  # fmt: skip
ALL = HEADWEAR | KEPT_BACK
