"""jax_: the same with JAX: an epoch is one compiled function, a scan over its steps, mapped over the seeds."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.peers.job import Job, Rows, Trained, command

Weights = list[tuple[Array, Array]]  # stem, blocks, head: weight (inputs, outputs) and bias (outputs,)


def initialised(job: Job, generator: np.random.Generator) -> Weights:
    """PyTorch's default: U(-1/sqrt(inputs), 1/sqrt(inputs)) for weights and biases, with a leading seeds axis.

    Drawn by NumPy: compiling JAX's random numbers would take longer than compiling the training.
    """

    def uniform(inputs: int, *shape: int) -> Array:
        drawn = generator.uniform(-(inputs**-0.5), inputs**-0.5, (job.seeds, *shape))
        return jnp.asarray(drawn, dtype=jnp.float32)

    sizes = [(2, job.width), *[(job.width, job.width)] * job.depth, (job.width, 2)]
    return [(uniform(inputs, inputs, outputs), uniform(inputs, outputs)) for inputs, outputs in sizes]


def losses(weights: Weights, points: Array, labels: Array, scale: float | None) -> tuple[Array, Array]:
    """Cross-entropy (batch,) and logits (batch, 2)."""
    (stem, stem_bias), *blocks, (head, head_bias) = weights
    x = points @ stem + stem_bias
    for weight, bias in blocks:
        h = jax.nn.relu(x @ weight + bias)
        x = h if scale is None else x + scale * h
    logits = x @ head + head_bias
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
        return losses(weights, train_set[0][rows], train_set[1][rows], job.branch_scale)[0] @ share

    def step(carry: tuple[Weights, Weights], batch: tuple[Array, Array]) -> tuple[Any, tuple[Array, Array]]:
        weights, momentum = carry
        loss, gradients = jax.value_and_grad(loss_of)(weights, *batch)
        norms = jnp.stack([jnp.sqrt(jnp.sum(weight**2)) for weight, _ in gradients])
        total = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradients)))
        clip = jnp.minimum(1.0, job.clip_norm / (total + 1e-6))
        momentum = jax.tree.map(lambda m, g: job.momentum * m + clip * g, momentum, gradients)
        weights = jax.tree.map(lambda w, m: w - job.lr * m, weights, momentum)
        return (weights, momentum), (norms, loss)

    (weights, momentum), (norms, train_losses) = jax.lax.scan(step, (weights, momentum), (batches, shares))
    val_losses, logits = losses(weights, *val_set, job.branch_scale)
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
    command(train)()
