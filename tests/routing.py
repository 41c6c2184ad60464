"""Tables of the study of routing, as small as the page can show."""

import pandas as pd
import yaml


def write_tables(folder):
    """Tables as studies/routing leaves them, of two networks, two policies and five rows."""
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    networks, policies = ("moons", "spirals"), ("random", "learned")
    params |= {"seeds": 2, "variants": {name: params["variants"][name] for name in networks}}
    params["shown"] = {"variants": list(networks), "rows": 5}
    params["routing"]["shares"] = [0.25, 0.5, 1.0]
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    asked = [
        {"variant": network, "policy": policy, "target": target}
        for network in networks
        for policy in policies
        for target in (0.25, 0.5, 1.0)
        if (policy, target) != ("learned", 1.0)
    ]
    numbers = {"work": 0.6, "lost": 0.01, "kl": 0.02, "correlation": 0.5, "shuffled": 0.8}
    of_seeds = [
        each
        | numbers
        | {"seed": seed, "share": each["target"], "accuracy": 0.7 + each["target"] / 4 + seed / 100}
        | {"agreement": 0.75 + each["target"] / 4}
        for each in asked
        for seed in (0, 1)
    ]
    of_rows = [
        each
        | {"row": row, "blocks": 20 * each["target"] * (row + 1) / 5, "right": 1.0 if row else 0.0}
        | {"x1": row - 2.0, "x2": (row - 2.0) ** 2, "label": row % 2}
        for each in asked
        for row in range(5)
    ]
    columns = ["seed", "share", "work", "accuracy", "lost", "agreement", "kl", "correlation", "shuffled"]
    order = {"policies": [*columns, "policy", "target"]}
    order["rows"] = ["row", "blocks", "right", "policy", "target", "x1", "x2", "label"]
    (folder / "reports").mkdir(exist_ok=True)
    for name, rows in (("policies", of_seeds), ("rows", of_rows)):
        table = pd.DataFrame(rows)[["variant", *order[name]]]
        table.to_csv(folder / "reports" / f"{name}.csv", index=False)
