"""YAML is read as DVC reads it, or refused."""

import math

import pytest
from dvc.utils.serialize import load_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradflow.guards.errors import InputError
from gradflow.params import reading

# Plain scalars on which readers of YAML differ.
PLAIN = """
0 -0 +1 7 00 020 -017 0o17 0x10 0xfF 0b101 1_000 _1 1_ +_ 08 0x 3f2a1c 1,000 1:30 1:30.5 190:20:30
1. 1.5 .5 +.5 -.5 ._ 1_0.5 1e3 1e-3 1E+3 -1e-3 1.e5 .5e3 .5e+3 1e-05 1e 12e4567 -12e4567 1e-999999999
.inf -.INF +.Inf .nan .NaN inf nan true True TRUE tRUE false y n yes No ON off null Null ~ nil none = << a
2026-01-31 2026-1-1 2026-99-01 2026-01-31.csv 2001-12-14t21:59:43.1Z 21:59:43
"""
MARKED = [
    '"1e-3"',
    "'020'",
    '!!int "020"',
    '!!float "1"',
    "!!str 1",
    "!!bool x",
    "!!int ''",
    "!!binary aGk=",
    "!!set {a}",
]
MARKED += ["!!python/name:os.system x", "!!python/object/apply:os.getcwd []", "!!omap [{[a]: 1}]", "!own 1", "! 1"]
NESTED = [
    "2001-12-14 21:59:43 -5",
    "[1e-3, {b: 020, 1e3: c}]",
    "{x: &x {lr: 1e-3, on: 0x10}, y: {<<: *x, lr: 2}, z: [*x, *x]}",
    "{<<: [{b: 1}, {b: 2, c: 3}], c: 4}",
    "{<<: {b: 1}, b: 2, b: 3}",
    "\n  - &a 1e-3\n  - *a\n  - |\n    020\n  - >-\n    1e3\n    4\n",
    "{1: a, 1.0: b}",
    "{1: a, true: b}",
    "{[1, 2]: a}",
    "{{b: 1}: a}",
    "{2026-01-31: a}",
    "{~: a, '': b}",
    "*a",
    "[&a 1, &a 2]",
    "1\n---\na: 2",
    "1\n...",
    "a: b",
    "\tb",
    '"\\ud800"',
    "\ufeffb",
    "b\x85c\u2028d\r\ne: f\rg: 1e-3",
    "\0",
]


def read(how, path):
    """What is read, with its types, or that nothing is."""
    try:
        return repr(how(path))
    except Exception:
        return "refused"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("reading") / "params.yaml"


@pytest.mark.parametrize("value", [*PLAIN.split(), *MARKED, *NESTED])
@pytest.mark.parametrize("text", ["a: {}\n", "? {}\n: a\n", "%YAML 1.1\n---\na: {}\n"])
def test_a_value_is_what_it_is_to_dvc(path, text, value):
    path.write_bytes(text.format(value).encode())

    assert read(reading.read, path) == read(load_yaml, str(path))


def test_any_plain_word_is_what_it_is_to_dvc(path):
    @settings(max_examples=1000, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(
        st.from_regex(r"[-+]?[.0-9][-+.0-9_:xobeEfT]{0,10}", fullmatch=True) | st.text("-+.,0123456789_:eEx'\" {}[]")
    )
    def same(value):
        path.write_text(f"a: {value}\n", encoding="utf-8")
        assert read(reading.read, path) == read(load_yaml, str(path))

    same()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]\n", ", line 1: is not readable YAML: holds too much, counting what aliases repeat"),
        ("a: &a {<<: *a}\n", ", line 1: is not readable YAML: holds too much, counting what aliases repeat"),
        (f"a: &a {'1' * 9_900}\nb: [{'*a,' * 999}]\n", ", line 2: is not readable YAML: holds too much, counting"),
        (f"a: {'[' * 100}{']' * 100}\n", ": is nested too deeply"),
        (f"a: {'[' * 30_000}", ": is nested too deeply"),
        ("- " * 30_000, ": is nested too deeply"),
        (f"a: {'1' * 64_000}\n", ": must have at most 64,000 bytes"),
    ],
)
def test_what_the_reader_of_dvc_falls_over_is_refused(path, text, said):
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as error:
        reading.read(path)
    assert error.value.message.startswith(f"{path}{said}")


def test_what_comes_near_the_limits_is_read(path):
    path.write_text(
        f"a: {'[' * 99}{']' * 99}\nb: [{'1,' * 31_000}]\nc: &c [1, 1]\nd: [{'*c,' * 300}]\n", encoding="utf-8"
    )

    document = reading.read(path)
    assert len(document["b"]) == 31_000 and document["d"] == [[1, 1]] * 300


def test_an_infinity_is_read_as_one(path):
    """The rules of parameters refuse it, whichever way it is written."""
    path.write_text("a: 12e4567\n", encoding="utf-8")

    assert reading.read(path) == {"a": math.inf}
