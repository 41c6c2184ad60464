"""measure: one network, all its seeds: streams and gradients before and after training; lenses and patches after it."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import normalize

from gradflow import checkpoints
from gradflow.files import parquet
from gradflow.kit.block import Block, adds_to_the_stream
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.networks import transformer
from gradflow.params.loading import load, of_stage
from gradflow.streams import lens, patching
from gradflow.streams.contributions import contributions
from gradflow.training import device
from studies.streams.induction import LENSES, PATCHES, UNTOLD, Induction, Tokens, drawn, targets
from studies.streams.params import Params


@click.command()
@click.argument("variant")
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, models: Path, logs: Path) -> None:
    """Measure VARIANT of MODELS, and write to LOGS.

    VARIANT may also be what DVC calls the stage: measure@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    device.from_environment()  # for its threads
    about, trained = config.described(variant), config.trained(variant)
    start = stack(partial(build, about), seeds=config.seeds, init=about["init"], seed=config.train.seed)
    test, train = np.split(drawn(config.sequences, 2 * config.measure.sequences, config.sequences.seed, LENSES), 2)
    found: dict[str, list[pd.DataFrame]] = {"streams": [], "reading": [], "patches": [], "sums": []}
    for seed in range(config.seeds):
        end = checkpoints.load(models / f"{variant}.safetensors", seed, trained)
        first = build(about)
        first.load_state_dict({name: value[seed] for name, value in start.state_dict().items()})
        assert isinstance(first, transformer.Network) and isinstance(end, transformer.Network)
        for moment, network in (("start", first), ("end", end)):
            found["streams"].append(_streams(network, config, test).assign(seed=seed, moment=moment))
        tuned = _tuned(end, config, train)
        by_position, whole = _patches(end, config)
        layers, positions = np.indices(by_position.shape).reshape(2, -1)
        patches = {"layer": layers, "position": positions, "recovered": by_position.ravel(), "seed": seed}
        found["patches"].append(pd.DataFrame(patches))
        found["reading"].append(_reading(end, tuned, config, test).assign(whole=whole, seed=seed))
        found["sums"].append(_sums(end, config, test).assign(seed=seed))
        if not seed:
            _write(logs / f"{variant}.tokens.parquet", _tokens(end, tuned, config, test[:1]))
    for name, tables in found.items():
        _write(logs / f"{variant}.{name}.parquet", pd.concat(tables))


def _write(path: Path, table: pd.DataFrame) -> None:
    """Write a table; what is not finite, of a network that has diverged, becomes a gap."""
    found = table.replace([np.inf, -np.inf], np.nan)
    parquet.write(path, pa.Table.from_pandas(found, preserve_index=False))


def _inputs(config: Params, tokens: Tokens) -> Tensor:
    return transformer.inputs(torch.from_numpy(tokens), config.sequences.tokens)


def _streams(network: transformer.Network, config: Params, sequences: Tokens) -> pd.DataFrame:
    """Streams and their gradients.

    Returns:
        A row a stream: layer, in sublayers; norm, root mean square over rows of ||x_l||; gradient, likewise of
        dLoss/dx_l; cosine, the mean between two positions of a sequence, 1 where all of them hold the same (collapse of
        the rank, arXiv 2103.03404); change, the root mean square over rows of ||x_l - x_(l-1)|| / ||x_(l-1)||, what the
        sublayer in front changes, nan for the first stream.
    """
    known = torch.from_numpy(targets(sequences)).flatten()
    streams = [network.embedded(_inputs(config, sequences[:, :-1])).detach().requires_grad_()]
    for block in network.blocks:
        streams.append(block(streams[-1]))
    loss = Induction.losses(network.read(streams[-1]).unsqueeze(0), known).sum()
    rows = []
    before = None
    for layer, (stream, gradient) in enumerate(zip(streams, torch.autograd.grad(loss, streams), strict=True)):
        x, g = stream.detach().double(), gradient.double()
        directions = normalize(x.view(len(sequences), -1, x.shape[1]), dim=2)
        positions = directions.shape[1]
        pairs = (directions.sum(1).square().sum(1) - positions) / (positions * (positions - 1))
        norm, size = (vector_norm(each, dim=1).square().mean().sqrt().item() for each in (x, g))
        change = float("nan")
        if before is not None:
            change = (vector_norm(x - before, dim=1) / vector_norm(before, dim=1)).square().mean().sqrt().item()
        before = x
        rows.append({"layer": layer, "norm": norm, "gradient": size, "cosine": pairs.mean().item(), "change": change})
    return pd.DataFrame(rows)


def _told(network: transformer.Network, config: Params, sequences: Tokens) -> tuple[list[Tensor], Tensor]:
    """The streams at positions whose next token can be told, (rows, width) each; and these tokens, (rows,)."""
    known = torch.from_numpy(targets(sequences)).flatten()
    told = known != UNTOLD
    first = network.embedded(_inputs(config, sequences[:, :-1]))
    return [x[told] for x in patching.streams(network, first)], known[told]


def _tuned(network: transformer.Network, config: Params, sequences: Tokens) -> lens.Tuned:
    """The tuned lens, which has learnt on these sequences."""
    chosen = config.measure
    return lens.Tuned(_told(network, config, sequences)[0], network.read, steps=chosen.lens_steps, lr=chosen.lens_lr)


@torch.no_grad()
def _reading(network: transformer.Network, tuned: lens.Tuned, config: Params, sequences: Tokens) -> pd.DataFrame:
    """What lenses read, and what sublayers write, where the next token can be told.

    Returns:
        A row a stream: layer; logit and tuned, KL(network || lens) in nats, a mean over tokens; direct, what the
        sublayer in front of it (layer 0: the embedding) gives to the logit of the right token, less what it gives to
        all tokens on average, nan where sublayers do not add to a stream.
    """
    streams, known = _told(network, config, sequences)
    last = network.read(streams[-1])
    found = {
        "layer": range(len(streams)),
        "logit": [lens.distance(last, network.read(x)).mean().item() for x in streams],
        "tuned": [lens.distance(last, logits).mean().item() for logits in tuned(torch.stack(streams))],
        "direct": [float("nan")] * len(streams),
    }
    if _adds(network, streams[0]):
        told = torch.from_numpy(targets(sequences)).flatten() != UNTOLD
        parts = contributions(network, _inputs(config, sequences[:, :-1]))[:-1, told]
        right = parts[:, torch.arange(len(known)), known]
        found["direct"] = (right - parts.mean(2)).mean(1).tolist()
    return pd.DataFrame(found)


def _adds(network: transformer.Network, stream: Tensor) -> bool:
    """Whether all sublayers add to the stream."""
    blocks = [block for block in network.blocks if isinstance(block, Block)]
    return all(adds_to_the_stream(block, stream, block.carry(stream)) for block in blocks)


@torch.no_grad()
def _sums(network: transformer.Network, config: Params, sequences: Tokens) -> pd.DataFrame:
    """How far the contributions of all parts, summed, are from the logits.

    Returns:
        A row: the largest distance in float32 and in float64, nan where sublayers do not add to a stream.
    """
    found = {}
    for precision in (torch.float32, torch.float64):
        exact = copy.deepcopy(network).to(precision)
        x = _inputs(config, sequences[:, :-1]).to(precision)
        far = float("nan")
        if _adds(exact, exact.embedded(x)):
            far = (contributions(exact, x).sum(0) - exact(x)).abs().max().item()
        found[str(precision).removeprefix("torch.")] = [far]
    return pd.DataFrame(found)


@torch.no_grad()
def _tokens(network: transformer.Network, tuned: lens.Tuned, config: Params, sequence: Tokens) -> pd.DataFrame:
    """What lenses read in one sequence, (1, positions + 1).

    Returns:
        A row a stream and position: layer, position; token, which stands there; next, which follows; told, whether it
        can be told; for logit lens and tuned lens the token that they hold for the likeliest, and its probability, nan
        where logits are not finite: then the token says nothing.
    """
    streams = patching.streams(network, network.embedded(_inputs(config, sequence[:, :-1])))
    tokens = sequence[0]
    read = {"logit": [network.read(x) for x in streams], "tuned": list(tuned(torch.stack(streams)))}
    tables = []
    for layer in range(len(streams)):
        said: dict[str, Any] = {}
        for name, logits in read.items():
            likeliest = logits[layer].softmax(1).max(1)
            said |= {name: likeliest.indices.numpy(), f"{name}_probability": likeliest.values.numpy()}
        table = {"layer": layer, "position": range(len(tokens) - 1), "token": tokens[:-1], "next": tokens[1:]}
        table |= {"told": (targets(sequence)[0] != UNTOLD).astype(np.int64)}
        tables.append(pd.DataFrame(table | said))
    return pd.concat(tables)


@torch.no_grad()
def _patches(network: transformer.Network, config: Params) -> tuple[NDArray[np.float64], list[float]]:
    """What of the answer at the last position comes back when a part of a stream is put into a corrupted run.

    All sequences have the longest period, so that the answer stood at the same positions in all. There it is replaced
    by a token that the sequence does not have. What comes back is of the logit of the answer less that of its
    replacement.

    Returns:
        By stream and position (streams, positions), which alone is patched; and by stream with all positions patched.
    """
    about = config.sequences
    longest = about.model_copy(update={"shortest": about.longest})
    clean = drawn(longest, config.measure.patched, about.seed, PATCHES)
    answers = clean[:, -1:]
    others = np.array([np.setdiff1d(np.arange(about.tokens), row)[0] for row in clean])[:, None]
    corrupted, whole = (
        patching.streams(network, network.embedded(_inputs(config, tokens)))
        for tokens in (np.where(clean[:, :-1] == answers, others, clean[:, :-1]), clean[:, :-1])
    )
    told = [torch.from_numpy(each) for each in (answers, others)]

    # One run for all patches of a stream: each position alone, and in the last copy of the sequences all of them.
    places = torch.cat([torch.eye(about.positions), torch.ones(1, about.positions)]).bool()
    rows = places.repeat_interleave(len(clean), 0).flatten()

    def ahead(last: Tensor) -> Tensor:
        logits = network.read(last).view(-1, len(clean), about.positions, about.tokens)[:, :, -1]
        one, other = (logits.gather(2, each.expand(len(logits), -1, -1)) for each in told)
        return (one - other).mean((1, 2))

    def recovered(layer: int) -> Tensor:
        from_clean, from_corrupted = (
            [x.repeat(len(places), 1) if at == layer else x for at, x in enumerate(each)] for each in (whole, corrupted)
        )
        last = patching.patched(network, from_clean, from_corrupted, layer, rows)
        return patching.recovered(ahead(whole[-1]), ahead(corrupted[-1]), ahead(last))

    found = torch.stack([recovered(layer) for layer in range(len(whole))]).double().numpy()
    return found[:, :-1], found[:, -1].tolist()


if __name__ == "__main__":
    main()
