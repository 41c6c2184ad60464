"""What a block declares in its source is what params.yaml may say of it."""

import re
from pathlib import Path
from typing import Literal

import pytest
import yaml
from click.testing import CliRunner
from pydantic import TypeAdapter

from gradflow.params import catalogue
from gradflow.params.loading import load
from gradflow.recipe import Recipe
from stages import check

ROOT = Path(__file__).parents[1]


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """The settings of a block whose keyword-only arguments are these."""

    def settings(arguments):
        source = f"class Odd(Block):\n    def __init__(self, kit, place, *, {arguments}): ...\n"
        (tmp_path / "odd.py").write_text(source)
        monkeypatch.setattr(catalogue, "_BLOCKS", tmp_path)
        catalogue.settings.cache_clear()
        return catalogue.settings("odd")

    yield settings
    catalogue.settings.cache_clear()


@pytest.mark.parametrize(
    ("argument", "kind", "default"),
    [
        ("scale: float = 0.5", float, 0.5),
        ("reduction: int = -4", int, -4),
        ("learnt: bool = True", bool, True),
        ('norm: Literal["layer", "rms"] = "rms"', Literal["layer", "rms"], "rms"),
        ('norm: Literal["layer"] = "layer"', Literal["layer"], "layer"),
        ("above: float | None = None", float | None, None),
        ('norm: Literal["layer", "rms"] | None = None', Literal["layer", "rms"] | None, None),
    ],
)
def test_a_setting_has_the_type_and_the_default_that_the_source_says(declared, argument, kind, default):
    assert declared(argument) == {argument.partition(":")[0]: (kind, default)}


@pytest.mark.parametrize(
    "argument",
    [
        "scale: float",
        "scale=1.0",
        'name: str = "a"',
        "sizes: list[int] = [1]",
        "sizes: list[int] | None = None",
        "start: Tensor | None = None",
        "start: Optional[float] = None",
        "level: Literal[1, 2] = 1",
        'level: Literal["a", 2] = "a"',
        "scale: float = 1 / SQRT",
        'scale: "float" = 1.0',
    ],
)
def test_a_setting_of_another_kind_is_refused(declared, argument):
    name = argument.partition(":")[0].partition("=")[0]
    kinds = "a float, int, bool or Literal of strings, or one of them or None, with a default"
    with pytest.raises(TypeError, match=rf"^blocks/odd\.py: {name} must be {kinds}$"):
        declared(argument)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("SCALE = 1\n", "must hold a subclass of Block"),
        ("class Odd:\n    pass\n", "must hold a subclass of Block"),
        ("class Odd(Block):\n    pass\n", "its block must have an __init__(self, kit, place, *, settings)"),
    ],
)
def test_a_file_that_holds_no_block_is_refused(tmp_path, monkeypatch, source, said):
    (tmp_path / "odd.py").write_text(source)
    monkeypatch.setattr(catalogue, "_BLOCKS", tmp_path)
    catalogue.settings.cache_clear()
    with pytest.raises(TypeError, match=f"^blocks/odd\\.py: {re.escape(said)}$"):
        catalogue.settings("odd")
    catalogue.settings.cache_clear()


@pytest.mark.parametrize("key", ["block", "depth", "init", "train", "widths"])
def test_a_setting_with_the_name_of_another_key_is_refused(declared, key):
    with pytest.raises(TypeError, match=f"^blocks/odd\\.py: {key} is the name of another key of a variant$"):
        declared(f"{key}: int = 1")


def test_whether_a_block_changes_its_width_stands_in_its_class(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "_BLOCKS", tmp_path)
    catalogue.changes_width.cache_clear()
    for name, line in (("a", "changes_width = True"), ("b", "changes_width = False"), ("c", "pass")):
        (tmp_path / f"{name}.py").write_text(f"class Odd(Block):\n    {line}\n")
    assert [catalogue.changes_width(name) for name in "abc"] == [True, False, False]
    catalogue.changes_width.cache_clear()


def test_defaults_of_all_blocks_are_of_their_types():
    for name in catalogue.names():
        for kind, default in catalogue.settings(name).values():
            TypeAdapter(kind).validate_python(default, strict=True)


REFUSED = [
    ({"block": "prenorm", "norm": "batch"}, "norm: must be 'layer' or 'rms', got 'batch'"),
    ({"block": "postnorm", "norm": None}, "norm: must be 'layer' or 'rms', got None"),
    ({"block": "gated", "gate": "units"}, "gate: must be 'scalar', 'unit' or 'input', got 'units'"),
    ({"block": "bottleneck", "reduction": 2.5}, "reduction: must be a whole number, got 2.5"),
    ({"block": "highway", "bias": "low"}, "bias: must be a number, got 'low'"),
    ({"block": "highway", "bia": 1.0}, "bia: unknown key; did you mean bias? Known: block, depth, widths, train, bias"),
    ({"block": "plain", "widths": []}, "widths: must not be empty, got []"),
    ({"block": "plain", "widths": [8, 0]}, "widths.1: must be >= 1, got 0"),
    ({"block": "plain", "widths": [8] * 21}, "widths: must have at most 20 entries, one a block, got 21"),
    ({"block": "plain", "depth": 2, "widths": [4, 4, 4]}, "widths: must have at most 2 entries, one a block, got 3"),
    (
        {"block": "residual", "widths": [32, 16]},
        "widths: must be of one width for residual blocks, which do not project their stream, got 32 to 16 at block 11",
    ),
    (
        {"block": "bottleneck", "depth": 3, "widths": [8, 8, 16]},
        "widths: must be of one width for bottleneck blocks, which do not project their stream, got 8 to 16 at block 3",
    ),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, in which one can put the root's params.yaml with another variant in it."""
    monkeypatch.chdir(tmp_path)

    def put(variant):
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["variants"] = {"a": variant}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    return put


@pytest.mark.parametrize(("variant", "said"), REFUSED)
def test_a_variant_that_cannot_be_is_refused_in_one_line(folder, variant, said):
    folder(variant)
    done = CliRunner().invoke(check.main, ["passed"])
    assert (done.exit_code, done.stderr) == (2, f"gradflow: params.yaml: variants.a.{said}\n")


@pytest.mark.parametrize(
    "variant",
    [
        {"block": "plain", "widths": [32, 16]},
        {"block": "plain", "depth": 3, "widths": [4, 8, 2]},
        {"block": "residual", "widths": [32]},
        {"block": "residual", "widths": [32, 32]},
        {"block": "prenorm", "norm": "rms"},
    ],
)
def test_a_variant_that_can_be_is_read(folder, variant):
    folder(variant)
    read = load(Recipe).variants["a"]
    assert variant.items() <= read.model_dump().items()
