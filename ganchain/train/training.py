"""State of a training run, and one step of it: networks, losses and figures, but no GAN."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from lightning_fabric import Fabric
from safetensors.torch import save
from torch import Tensor, nn

from ganchain import files, tensors
from ganchain.errors import ChainError
from ganchain.tensors import Pixels
from ganchain.train.depthwise import use_fast_depthwise
from ganchain.train.order import derive_seed
from ganchain.train.recipe import Batch, Recipe


class Training:
    """State of a run: networks, the running average of the exported one, optimisers, the step."""

    def __init__(self, recipe: Recipe, fabric: Fabric, seed: int) -> None:
        self.recipe, self.fabric, self.seed = recipe, fabric, seed
        self.step = 0
        for net in [*recipe.networks.values(), *recipe.frozen.values()]:
            (use_fast_depthwise(net) if fabric.device.type == "cpu" else net).to(fabric.device)
        for net in recipe.frozen.values():
            net.eval().requires_grad_(False)
        self.exported = next(iter(recipe.networks))
        self.average = copy.deepcopy(recipe.networks[self.exported]).requires_grad_(False).eval()
        self.optimisers = {
            player: torch.optim.AdamW(net.parameters(), lr=recipe.rate, betas=recipe.betas, weight_decay=recipe.decay)
            for player, net in recipe.networks.items()
        }

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step with every network whose turn it is; returns the loss terms."""
        self.step += 1
        torch.manual_seed(derive_seed(self.seed, "step", self.step, self.fabric.global_rank))
        turns = [player for player in self.recipe.networks if self.step % self.recipe.turns.get(player, 1) == 0]
        values = {f"{player}/{name}": value for player in turns for name, value in self._learn(player, batch).items()}
        decay = min(self.recipe.average, self.step / (self.step + 10))
        weights = self.recipe.networks[self.exported].state_dict().values()
        for mean, new in zip(self.average.state_dict().values(), weights, strict=True):
            mean.lerp_(new, 1 - decay) if mean.is_floating_point() else mean.copy_(new)
        return values

    def _learn(self, player: str, batch: Batch) -> dict[str, Tensor]:
        """Take one step of the optimiser of the network ``player``."""
        net, optimiser = self.recipe.networks[player], self.optimisers[player]
        optimiser.param_groups[0]["lr"] = self.recipe.rate * self.recipe.schedule(self.step)
        with self.fabric.autocast():
            terms = self.recipe.losses(player, batch)
        optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(torch.stack(list(terms.values())).sum())
        if self.fabric.world_size > 1:
            self._share(net)
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), self.recipe.clip)
        optimiser.step()
        return {name: value.detach() for name, value in terms.items()}

    def _share(self, net: nn.Module) -> None:
        """Average the gradients of all processes; unlike DDP's wrapper, losses may call a network as they like."""
        gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
        mean = self.fabric.all_reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduce_op="mean")
        assert isinstance(mean, Tensor)
        for gradient, part in zip(
            gradients, torch.split(mean, [gradient.numel() for gradient in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    @torch.no_grad()
    def evaluate(self, held_out: list[Batch]) -> tuple[dict[str, float], Pixels]:
        """Measure held-out figures of the averaged weights, and draw a sheet of samples (H, W, 3)."""
        networks, live = self.recipe.networks, self.recipe.networks[self.exported]
        networks[self.exported] = self.average
        for net in networks.values():
            net.eval()
        torch.manual_seed(derive_seed(self.seed, "figures"))
        try:
            rows = [self.recipe.figures(self.fabric.to_device(batch)) for batch in held_out]
            sample = tensors.to_pixels(self.recipe.sample(self.fabric.to_device(held_out[0])))
        finally:
            networks[self.exported] = live
            for net in networks.values():
                net.train()
        columns, (count, height, width, _) = self.recipe.columns, sample.shape
        sheet = sample.reshape(count // columns, columns, height, width, 3).swapaxes(1, 2)
        figures = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
        return figures, sheet.reshape(-1, columns * width, 3)

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Return all that has a state, by name."""
        return {**self.recipe.networks, **{f"{n}-adam": o for n, o in self.optimisers.items()}, "average": self.average}

    def save(self, out: Path) -> None:
        """Write weights and state; each file appears whole or not at all."""
        weights = {name: value.contiguous() for name, value in self.recipe.exported(self.average).items()}
        weights = {name: v.half() if v.is_floating_point() else v for name, v in weights.items()}
        files.write(out / f"{self.recipe.key}.safetensors", save(weights))
        with files.replaced(out / "state.pt") as file:
            torch.save(
                {"step": self.step, **{name: module.state_dict() for name, module in self._parts().items()}}, file
            )

    def restore(self, file: Path) -> None:
        """Read the state that ``save`` wrote.

        Raises:
            ChainError: it is of other networks.
        """
        state = torch.load(file, map_location=self.fabric.device, weights_only=True)
        self.step = state["step"]
        try:
            for name, module in self._parts().items():
                module.load_state_dict(state[name])
        except (KeyError, ValueError, RuntimeError) as error:
            raise ChainError(f"{file} is of other networks; resume with the options it was begun with") from error
