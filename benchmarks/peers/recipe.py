"""recipe: a PyTorch script as people write it, one seed."""

import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.job import Job, Rows, Trained, command


class Block(nn.Module):
    """``relu(Wx + b)``, added to its input if there is a scale."""

    def __init__(self, width: int, scale: float | None) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, width) to the same shape."""
        h = torch.relu(self.linear(x))
        return h if self.scale is None else x + self.scale * h


def network(job: Job) -> nn.Sequential:
    """Stem, blocks, head."""
    blocks = [Block(job.width, job.branch_scale) for _ in range(job.depth)]
    return nn.Sequential(nn.Linear(2, job.width), *blocks, nn.Linear(job.width, 2))


def loader(rows: Rows, batch_size: int, *, shuffle: bool = False) -> DataLoader[tuple[Tensor, ...]]:
    """Batches of points and labels."""
    return DataLoader(TensorDataset(*map(torch.from_numpy, rows)), batch_size=batch_size, shuffle=shuffle)


def on_device(batches: Iterable[Sequence[Tensor]], job: Job) -> Iterator[list[Tensor]]:
    """The same batches where the network is."""
    return ([part.to(job.device) for part in batch] for batch in batches)


def train(job: Job) -> Trained:
    """Train one network with PyTorch's modules, loader, autograd and optimiser."""
    torch.manual_seed(0)
    model = network(job).to(job.device)
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    optimizer = torch.optim.SGD(model.parameters(), lr=job.lr, momentum=job.momentum)
    criterion = nn.CrossEntropyLoss()
    train_loader = loader(job.rows("train"), job.batch_size, shuffle=True)
    val_loader = loader(job.rows("val"), job.batch_size)
    norms, accuracy, clock = [], 0.0, [time.perf_counter()]
    for _ in range(job.epochs):
        model.train()
        train_loss = 0.0
        for points, labels in on_device(train_loader, job):
            optimizer.zero_grad()
            loss = criterion(model(points), labels)
            loss.backward()
            norms.append([layer.weight.grad.norm().item() for layer in layers])
            nn.utils.clip_grad_norm_(model.parameters(), job.clip_norm)
            optimizer.step()
            train_loss += loss.item() * len(labels)
        model.eval()
        correct, total, val_loss = 0, 0, 0.0
        with torch.no_grad():
            for points, labels in on_device(val_loader, job):
                logits = model(points)
                val_loss += criterion(logits, labels).item() * len(labels)
                correct += int((logits.argmax(1) == labels).sum().item())
                total += len(labels)
        accuracy = correct / total
        clock.append(time.perf_counter())
    return Trained(np.array(norms)[:, None], [accuracy], clock)


if __name__ == "__main__":
    command(train, most_seeds=1)()
