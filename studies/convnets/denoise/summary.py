"""The numbers on denoising, from its tables."""

from typing import Any

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.params.digits import PIXELS
from gradflow.tables.columns import FROM_0, FROM_1, NUMBER, SIZE, Column, Columns, within
from studies.convnets.denoise.params import Denoise
from studies.convnets.summary import ratios


def tables(config: Denoise) -> dict[str, Columns]:
    """The columns of the tables of one variant."""
    stages, training, measured = len(config.widths), config.train, config.measure
    return {
        "history": within(
            {"seed": FROM_0, "step": FROM_1, "psnr": NUMBER, "noisy": NUMBER},
            seed=config.seeds - 1,
            step=training.steps,
        ),
        "starts": within(
            {
                "seed": FROM_0,
                "layer": FROM_1,
                "name": Column(str, key=True),
                "grad_norm": SIZE,
                "start": Column(str, words=measured.starts, key=True),
            },
            seed=config.seeds - 1,
            layer=stages + 1,
        ),
        "images": within(
            {"image": FROM_0, "pixel": FROM_0, "clean": NUMBER, "noisy": NUMBER, "denoised": NUMBER},
            image=measured.shown - 1,
            pixel=PIXELS - 1,
        ),
    }


def of_variants(config: Denoise, history: pd.DataFrame, starts: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The numbers of all U-Nets for metrics.json, over seeds that did not diverge {mean, std, min, max, seeds}.

    Args:
        config: Parameters.
        history: Columns variant, seed, step, psnr, noisy.
        starts: Columns variant, seed, layer, name, grad_norm, start.

    Returns:
        By variant ``psnr`` on validation digits at the end, in dB; ``noisy``, that of the digits that come in; and
        ``gain``, the former less the latter. Where another variant has the same noise and zeros for the long skips,
        those with long skips also have ``long_skips_gain``, their PSNR less that of the other, in dB, seed by seed;
        and ``first_gradient_START``, for each initialisation the norm of the gradient of the first convolution before
        training, over that of the other.
    """
    found = {}
    for name, chosen in config.variants.items():
        own = _end(config, history, name)
        noisy = next(map(float, history.loc[history["variant"] == name, "noisy"]), None)  # the same in all rows
        numbers = {"psnr": over_seeds(own), "noisy": noisy, "gain": over_seeds(own - (noisy or 0.0))}
        other = without(config, name)
        if chosen.long_skips and other:
            numbers["long_skips_gain"] = over_seeds(own - _end(config, history, other))
            for start in config.measure.starts:
                first = {variant: _first(starts, variant, start) for variant in (name, other)}
                numbers[f"first_gradient_{start}"] = over_seeds(ratios(first[name], first[other]))
        found[name] = numbers | {"seeds": config.seeds}
    return found


def without(config: Denoise, variant: str) -> str | None:
    """The variant with the same noise and zeros in the place of long skips; None: there is none."""
    noise = config.variants[variant].noise
    names = [name for name, other in config.variants.items() if other.noise == noise and not other.long_skips]
    return names[0] if names else None


def _end(config: Denoise, history: pd.DataFrame, variant: str) -> pd.Series:
    """The last PSNR by seed, of seeds that did not diverge before."""
    rows = history[(history["variant"] == variant) & (history["step"] == config.train.steps)]
    return pd.Series(rows["psnr"].to_numpy(), index=rows["seed"])


def _first(starts: pd.DataFrame, variant: str, start: str) -> pd.Series:
    """The gradient norm of the first convolution by seed."""
    rows = starts[(starts["variant"] == variant) & (starts["start"] == start)]
    rows = rows[rows["name"] == rows["name"].iloc[0]]
    return pd.Series(rows["grad_norm"].to_numpy(), index=rows["seed"])
