"""lightning_: the same with Lightning, which takes over the loop; the norms come from a hook. One seed."""

import logging
import time
import warnings
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.peers.job import Job, Trained, command
from benchmarks.peers.recipe import loader, network


class Classifier(lightning.LightningModule):
    """The network with its loss, its optimiser, and a hook that keeps the norm of every layer."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self.model = network(job)
        self.layers = [module for module in self.model.modules() if isinstance(module, nn.Linear)]
        self.norms: list[list[float]] = []
        self.clock: list[float] = []

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        """Loss of a batch."""
        points, labels = batch
        loss = cross_entropy(self.model(points), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_after_backward(self) -> None:
        """Keep the norms: clipping comes after this."""
        self.norms.append([layer.weight.grad.norm().item() for layer in self.layers])

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        """Loss and accuracy of a batch."""
        points, labels = batch
        logits = self.model(points)
        self.log_dict(
            {
                "val_loss": cross_entropy(logits, labels),
                "val_accuracy": (logits.argmax(1) == labels).float().mean(),
            }
        )

    def on_train_start(self) -> None:
        """Start the clock."""
        self.clock.append(time.perf_counter())

    def on_train_epoch_end(self) -> None:
        """Stop an epoch; its validation has been."""
        self.clock.append(time.perf_counter())

    def configure_optimizers(self) -> Any:
        """SGD with momentum."""
        return torch.optim.SGD(self.parameters(), lr=self.job.lr, momentum=self.job.momentum)


def train(job: Job) -> Trained:
    """Train one network with Lightning's Trainer, without logger, checkpoints, bar, summary and sanity check."""
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(0)
    model = Classifier(job)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=job.epochs,
        gradient_clip_val=job.clip_norm,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(
        model,
        loader(job.rows("train"), job.batch_size, shuffle=True),
        loader(job.rows("val"), job.batch_size),
    )
    accuracy = float(trainer.callback_metrics["val_accuracy"])
    return Trained(np.array(model.norms)[:, None], [accuracy], model.clock)


if __name__ == "__main__":
    command(train, most_seeds=1)()
