"""gemm: the best rate of float32 matrix products here, with one thread, in floating-point operations a second."""

from timeit import repeat

import torch

SIZE = 1024


def main() -> None:
    """Print the rate of the fastest of many products."""
    torch.set_num_threads(1)
    a, b, product = torch.rand(3, SIZE, SIZE)
    seconds = min(repeat(lambda: torch.mm(a, b, out=product), number=1, repeat=100))
    print(2 * SIZE**3 / seconds)


if __name__ == "__main__":
    main()
