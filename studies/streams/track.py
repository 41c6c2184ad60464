"""track: log the result of the study of streams in MLflow, once."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from torch import Tensor, nn

from gradflow.digits import dataset
from gradflow.networks import transformer
from gradflow.params.loading import load
from gradflow.tracking import images, stage, study
from gradflow.tracking.entry import EXAMPLE_ROWS
from gradflow.tracking.study import Trained
from studies.streams.induction import VALIDATION, Tokens, drawn
from studies.streams.params import Params, Sequences

if TYPE_CHECKING:
    from gradflow.kit.network import Network

_STUDY = "streams"


class OnTokens(nn.Module):
    """What a transformer makes of tokens, not of the rows that it takes for them.

    Args:
        network: A transformer.
        vocabulary: How many tokens there are.
    """

    def __init__(self, network: "Network", vocabulary: int) -> None:
        super().__init__()
        self.network, self._vocabulary = network, vocabulary

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (sequences, positions) int64 to logits of the next one (sequences, positions, tokens)."""
        logits: Tensor = self.network(transformer.inputs(tokens, self._vocabulary))
        return logits.view(*tokens.shape, -1)


def model(about: Sequences, network: "Network") -> tuple[nn.Module, Tokens]:
    """A model of tokens, and validation sequences (rows, positions)."""
    return OnTokens(network, about.tokens), drawn(about, EXAMPLE_ROWS, about.seed, VALIDATION)[:, :-1]


@click.command()
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("twin_models", type=click.Path(path_type=Path))
@click.argument("twin_logs", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("tracked", type=click.Path(path_type=Path))
def main(
    models: Path, logs: Path, twin_models: Path, twin_logs: Path, validation: Path, reports: Path, tracked: Path
) -> None:
    """Log the result in the folders, unless it is logged; then write TRACKED.

    VALIDATION: rows of which the perceptrons have examples.
    """
    config, (digits, _) = load(Params), dataset.read(validation)
    transformers = [
        Trained(
            name=name,
            about=config.trained(name),
            seeds=config.seeds,
            checkpoint=models / f"{name}.safetensors",
            history=logs / f"{name}.history.parquet",
            last=chosen.steps // config.train.every,
            model=partial(model, config.sequences),
        )
        for name, chosen in config.variants.items()
    ]
    perceptrons = [
        Trained(
            name=f"twin_{name}",
            about=config.twin.trained(name),
            seeds=config.twin.seeds,
            checkpoint=twin_models / f"{name}.safetensors",
            history=twin_logs / f"{name}.history.parquet",
            last=config.twin.train.epochs,
            model=partial(images.model, digits),
        )
        for name in config.twin.variants
    ]
    stage.log(study.read(_STUDY, transformers + perceptrons, reports), study.experiment(_STUDY), tracked)


if __name__ == "__main__":
    main()
