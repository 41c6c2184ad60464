"""What initialisations are called in figures."""

_NAMES = {
    "default": "PyTorch's default {}",
    "he": "He's {}",
    "he_over_sqrt_depth": "He's {} over √depth",
    "xavier": "Xavier's {}",
    "orthogonal": "orthogonal {}",
    "lecun": "LeCun's {}",
    "gpt2": "GPT-2's {}",
}


def called(init: str, what: str) -> str:
    """An initialisation in words: ``called("he", "weights")`` is ``He's weights``."""
    return _NAMES[init].format(what)
