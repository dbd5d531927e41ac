"""Choice of the device that networks run on."""

from __future__ import annotations

import torch

from ganchain.errors import ChainError, shown

KNOWN = "auto, cpu, cuda, cuda:N (the card's number, from 0), mps"


def choose(wanted: str | torch.device = "auto") -> torch.device:
    """Choose a device: "auto" is CUDA where torch finds a card, else the CPU.

    Raises:
        ChainError: there is no such device, or not here.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(str(wanted).lower())
    except (RuntimeError, ValueError) as error:
        raise ChainError(f"device {shown(str(wanted))} is none of {KNOWN}") from error
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    counts = {"cpu": 1, "cuda": cards, "mps": int(torch.backends.mps.is_available())}
    if device.type not in counts:
        raise ChainError(f"device {shown(str(wanted))} is none of {KNOWN}")
    if counts[device.type] == 0:
        raise ChainError(f"device {device}: torch finds no {device.type.upper()} device here; use --device cpu")
    if (device.index or 0) >= counts[device.type]:
        raise ChainError(f"device {device}: torch finds {counts[device.type]} here, numbered from 0")
    return device


def synchronize(device: torch.device) -> None:
    """Wait until ``device`` has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
