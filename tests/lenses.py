"""Tables of the study of streams, as small as the page can show."""

import json

import numpy as np
import pandas as pd
import yaml

LAYERS = {"post": 4, "pre": 4, "no_skip": 2}  # sublayers; post has not learnt
SEQUENCE = np.array([3, 1, 0, 3, 1, 0, 3])  # a block of three tokens, repeated
TOLD = 3  # from that position on


def write_tables(folder):
    """Tables as studies/streams leaves them, of three networks and a sequence of six tokens."""
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    like = next(iter(params["variants"].values()))
    params |= {"depth": 2, "width": 8, "heads": 2, "seeds": 2}
    params["sequences"] |= {"tokens": 4, "positions": 6, "shortest": 2, "longest": 3}
    params["variants"] = {
        name: like | {"placement": "post" if name == "post" else "pre", "skip": name != "no_skip"}
        | {"depth_over": 4 // layers}
        for name, layers in LAYERS.items()
    }  # fmt: skip
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    random = np.random.default_rng(0)
    tokens, reading = [], []
    for name, layers in LAYERS.items():
        for layer in range(layers + 1):
            table = {"variant": name, "layer": layer, "position": range(6), "token": SEQUENCE[:-1]}
            table |= {"next": SEQUENCE[1:], "told": (np.arange(6) >= TOLD).astype(int)}
            for lens in ("logit", "tuned"):
                change = random.integers(0, 4, 6)
                change[TOLD : TOLD + 2] = 0, 1  # one right, one wrong
                read = (SEQUENCE[1:] + change) % 4
                if layer == layers:
                    read = SEQUENCE[1:] if name != "post" else (SEQUENCE[1:] + (np.arange(6) == TOLD)) % 4
                table |= {lens: read, f"{lens}_probability": random.random(6)}
            tokens.append(pd.DataFrame(table))
            for seed in range(2):
                distances = random.random(2) * 4 if layer < layers else [-1e-8, 3e-8]
                row = {"variant": name, "layer": layer, "logit": distances[0], "tuned": distances[1]}
                reading.append(row | {"direct": None, "whole": 1.0, "seed": seed})
    (folder / "reports").mkdir(exist_ok=True)
    pd.concat(tokens).to_csv(folder / "reports/tokens.csv", index=False)
    pd.DataFrame(reading).to_csv(folder / "reports/reading.csv", index=False)
    means = {"post": 0.89, "pre": 0.9, "no_skip": 1.0} | {f"twin_{name}": 1.0 for name in params["twin"]["variants"]}
    numbers = {
        name: {"accuracy": {"mean": mean, "std": 0.0, "min": mean, "max": mean, "seeds": 2}}
        for name, mean in means.items()
    }
    (folder / "reports/metrics.json").write_text(json.dumps(numbers), encoding="utf-8")
