"""jax_: the same with JAX: an epoch is one compiled function, a scan over its steps, mapped over the seeds."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.peers.job import Job, Rows, Trained, command

Layer = tuple[Array, Array]  # weight (inputs, outputs) and bias (outputs,)
Weights = list[dict[str, Any]]  # stem, blocks, head: layers and other parameters by name


def affine(x: Array, layer: Layer) -> Array:
    """``x W + b``."""
    return x @ layer[0] + layer[1]


def plain(x: Array, own: dict[str, Any], scale: float) -> Array:
    """As in gradflow/blocks/plain.py."""
    return jax.nn.relu(affine(x, own["linear"]))


def residual(x: Array, own: dict[str, Any], scale: float) -> Array:
    """As in gradflow/blocks/residual.py."""
    return x + scale * jax.nn.relu(affine(x, own["linear"]))


def highway(x: Array, own: dict[str, Any], scale: float) -> Array:
    """As in gradflow/blocks/highway.py."""
    gate = jax.nn.sigmoid(affine(x, own["gate"]))
    return x + gate * (jax.nn.relu(affine(x, own["linear"])) - x)


def rezero(x: Array, own: dict[str, Any], scale: float) -> Array:
    """As in gradflow/blocks/rezero.py."""
    return x + own["a"] * jax.nn.relu(affine(x, own["linear"]))


def prenorm(x: Array, own: dict[str, Any], scale: float) -> Array:
    """As in gradflow/blocks/prenorm.py, with layer norm."""
    away = x - x.mean(-1, keepdims=True)
    normalised = away * jax.lax.rsqrt((away**2).mean(-1, keepdims=True) + 1e-5) * own["gain"] + own["shift"]
    return x + affine(jax.nn.relu(affine(normalised, own["linear"])), own["out"])


BLOCKS = {block.__name__: block for block in (plain, residual, highway, rezero, prenorm)}


def initialised(job: Job, generator: np.random.Generator) -> Weights:
    """PyTorch's default: U(-1/sqrt(inputs), 1/sqrt(inputs)) for weights and biases, with a leading seeds axis.

    Drawn by NumPy: compiling JAX's random numbers would take longer than compiling the training.
    """

    def uniform(inputs: int, *shape: int) -> Array:
        drawn = generator.uniform(-(inputs**-0.5), inputs**-0.5, (job.seeds, *shape))
        return jnp.asarray(drawn, dtype=jnp.float32)

    def layer(inputs: int, outputs: int) -> Layer:
        return uniform(inputs, inputs, outputs), uniform(inputs, outputs)

    def block() -> dict[str, Any]:
        own: dict[str, Any] = {"linear": layer(job.width, job.width)}
        full = partial(jnp.full, (job.seeds, job.width))
        match job.variant:
            case "highway":
                own["gate"] = (layer(job.width, job.width)[0], full(-2.0))
            case "rezero":
                own["a"] = jnp.zeros((job.seeds, 1))
            case "prenorm":
                own |= {"out": layer(job.width, job.width), "gain": full(1.0), "shift": full(0.0)}
        return own

    return [{"linear": layer(2, job.width)}, *(block() for _ in range(job.depth)), {"linear": layer(job.width, 2)}]


def losses(weights: Weights, points: Array, labels: Array, job: Job) -> tuple[Array, Array]:
    """Cross-entropy (batch,) and logits (batch, 2)."""
    stem, *blocks, head = weights
    x = affine(points, stem["linear"])
    for own in blocks:
        x = BLOCKS[job.variant](x, own, job.scale)
    logits = affine(x, head["linear"])
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)[:, 0], logits


def epoch(
    weights: Weights,
    momentum: Weights,
    batches: Array,
    shares: Array,
    train_set: tuple[Array, Array],
    val_set: tuple[Array, Array],
    *,
    job: Job,
) -> tuple[Any, ...]:
    """All steps of an epoch and the validation, for one seed.

    Args:
        weights: As they are.
        momentum: Likewise.
        batches: (steps, batch) rows of the train set.
        shares: (steps, batch) weights of the rows in the mean: what fills up the last batch has none.
        train_set: Points and labels.
        val_set: Likewise.
        job: The settings.
    """

    def loss_of(weights: Weights, rows: Array, share: Array) -> Array:
        return losses(weights, train_set[0][rows], train_set[1][rows], job)[0] @ share

    def step(carry: tuple[Weights, Weights], batch: tuple[Array, Array]) -> tuple[Any, tuple[Array, Array]]:
        weights, momentum = carry
        loss, gradients = jax.value_and_grad(loss_of)(weights, *batch)
        leaves = jax.tree.leaves(gradients)
        norms = jnp.stack([jnp.sqrt(jnp.sum(weight**2)) for weight in leaves if weight.ndim == 2])
        total = jnp.sqrt(sum(jnp.sum(g**2) for g in leaves))
        clip = jnp.minimum(1.0, job.clip_norm / (total + 1e-6))
        momentum = jax.tree.map(lambda m, g: job.momentum * m + clip * g, momentum, gradients)
        weights = jax.tree.map(lambda w, m: w - job.lr * m, weights, momentum)
        return (weights, momentum), (norms, loss)

    (weights, momentum), (norms, train_losses) = jax.lax.scan(step, (weights, momentum), (batches, shares))
    val_losses, logits = losses(weights, *val_set, job)
    accuracy = (logits.argmax(1) == val_set[1]).mean()
    return weights, momentum, norms, train_losses.mean(), val_losses.mean(), accuracy


def batched(rows: int, batch_size: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each step in random order, the last batch filled up with rows that do not count."""
    steps = -(-rows // batch_size)
    order = np.resize(generator.permutation(rows), steps * batch_size).reshape(steps, batch_size)
    counts = (np.arange(steps * batch_size) < rows).reshape(steps, batch_size)
    return order.astype(np.int32), (counts / counts.sum(1, keepdims=True)).astype(np.float32)


def on_device(rows: Rows) -> tuple[Array, Array]:
    """Points and labels as JAX's arrays."""
    return jnp.asarray(rows[0]), jnp.asarray(rows[1], dtype=jnp.int32)


def train(job: Job) -> Trained:
    """Train all seeds with one compiled function an epoch."""
    train_set, val_set = on_device(job.rows("train")), on_device(job.rows("val"))
    run = jax.jit(jax.vmap(partial(epoch, job=job), in_axes=(0, 0, None, None, None, None)), donate_argnums=(0, 1))
    generator = np.random.default_rng(0)
    weights = initialised(job, generator)
    momentum = jax.tree.map(np.zeros_like, weights)
    norms, accuracy, clock = [], jnp.zeros(job.seeds), [time.perf_counter()]
    for _ in range(job.epochs):
        batches = batched(len(train_set[0]), job.batch_size, generator)
        weights, momentum, *found = run(weights, momentum, *batches, train_set, val_set)
        of_epoch, _, _, accuracy = jax.block_until_ready(found)
        norms.append(of_epoch)
        clock.append(time.perf_counter())
    return Trained(np.concatenate(norms, axis=1).swapaxes(0, 1), accuracy.tolist(), clock)


if __name__ == "__main__":
    command(train, variants=BLOCKS)()
