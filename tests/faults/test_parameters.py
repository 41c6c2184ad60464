"""Any file at all as params.yaml: a plan that DVC can run with the same values, or exit code 2 and one line, soon."""

import copy
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from dvc.dvcfile import load_file
from dvc.repo import Repo
from dvc.repo.graph import build_graph
from dvc.utils.serialize import load_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradflow.params import reading

# DVC's own, when its functions are called from here.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

ROOT = Path(__file__).parents[2]
SECONDS, MEGABYTES = 2, 300

# Each params.yaml with the stage that decides on it.
PIPELINES = {
    ".": ("check", "data/checked"),
    "studies/identity": ("check", "data/checked"),
    "studies/initialisation": ("check", "data/checked"),
    "studies/overflow": ("check", "data/checked"),
}
VALID = {pipeline: (ROOT / pipeline / "params.yaml").read_text(encoding="utf-8") for pipeline in PIPELINES}
OWN = "  gentle: {block: residual, scale: 0.2236, depth: 3, train: {lr: 0.05, clip_norm: null, init: he}}\n"
VALID["."] = VALID["."].replace("\nprobe:", f"{OWN}\nprobe:")


@pytest.fixture(scope="module")
def decide(fresh, tmp_path_factory):
    """Give a pipeline a params.yaml of these bytes, and let its check decide; returns what it said."""
    root = tmp_path_factory.mktemp("parameters") / "a project"
    fresh.copy(root)
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("deciding.py")],
        env=fresh.env | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def decide(pipeline, content):
            folder = root / pipeline
            (folder / "params.yaml").write_bytes(content)
            stage, *arguments = PIPELINES[pipeline]
            process.stdin.write(f"{json.dumps([str(folder), stage, arguments])}\n")
            process.stdin.flush()
            said = SimpleNamespace(**json.loads(process.stdout.readline()))
            assert_decided(said)
            if said.code == 0:
                assert_runnable(folder)
            (folder / "params.yaml").write_text(VALID[pipeline], encoding="utf-8")
            return said

        yield decide
        process.stdin.close()


def assert_decided(said):
    assert not said.traceback, said.traceback
    assert said.code in (0, 2), said
    lines = said.stderr.splitlines()
    assert [line[:10] for line in lines] == ["gradflow: "] * (said.code == 2), said.stderr
    assert all(len(line) < 1000 and line.isprintable() for line in lines), lines
    assert said.seconds < SECONDS
    assert said.megabytes < MEGABYTES


def assert_runnable(folder):
    """DVC reads the same values and makes all stages of them."""
    assert as_text(load_yaml(str(folder / "params.yaml"))) == as_text(reading.read(folder / "params.yaml"))
    with Repo(str(folder)) as repo:
        stages = load_file(repo, str(folder / "dvc.yaml")).stages
        build_graph([stages[name] for name in stages])


def as_text(document):
    """JSON tells 1 from 1.0 and true, and a date or NaN fails."""
    return json.dumps(document, allow_nan=False)


def places(document, at=()):
    """The path of every value."""
    found = [at] if at else []
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            found += places(value, (*at, key))
    return found


NAME = r"[A-Za-z][A-Za-z0-9_-]{0,39}"
LETTERS = st.characters(codec="utf-8", exclude_characters="\0")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**30, 10**4000, -(10**400)]),
    st.floats(),
    st.text(LETTERS, max_size=20),
    st.sampled_from(
        ["plain", "residual", "sgd", "he", "hub", "file", "../x.csv", "/dev/zero", "${depth}", "$(id)", "<<", "="]
    ),
    st.dates(),
    st.binary(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(LETTERS, max_size=8) | SCALARS, inner, max_size=4)
    ),
    max_leaves=8,
)
TEXTS = st.text(LETTERS, min_size=1, max_size=30) | st.from_regex(r"[0-9a-f]{1,12}", fullmatch=True)
# Plain scalars on which readers of YAML may disagree.
LOOK_ALIKES = [
    *"7 0x10 0o17 0b1 1_000 12e4567 3f2a1c 1e-3 1e5 .5e3 0.1e1 +.5 5. 1_0.5 _1 1_ +_ -0 00 020 1:30".split(),  # noqa: SIM905  # shorter
    *"~ on y NO << = 1e-999999999 2026-01-01 2026-1-1 2026-01-01.csv 2001-12-14t21:59:43.1Z".split(),  # noqa: SIM905  # shorter
    *("2001-12-14 21:59:43 -5", '!!int "020"', '!!float "1:30"', "1" * 5000, "9" * 400 + ".0"),
]
PLAIN = st.from_regex(r"[-+]?[.0-9][-+.0-9_:xobeEfT]{0,10}", fullmatch=True) | st.sampled_from(LOOK_ALIKES)
TOKENS = st.sampled_from(
    [
        *"\t\0\ufeff\x85\u2028\r\u202e\u200b![]{}'\"#,=@`\n",
        *(
            "&a ",
            "*a",
            "<<: *a\n",
            "<<: {lr: 1}\n",
            "!!int ",
            "!!python/name:os.system ",
            "? ",
            ": ",
            "- ",
            "|\n",
            ">-\n",
        ),
        *("%YAML 1.1\n---\n", "---\n", "...\n", "  ", "depth: 1\n", '"\\ud800"', '"\\0"', "${depth}", "\x1b[31m"),
    ]
)


@st.composite
def changed_values(draw):
    """A valid file with some values, keys or sections replaced, removed or added, dumped in some style."""
    pipeline = draw(st.sampled_from(list(PIPELINES)))
    document = copy.deepcopy(yaml.safe_load(VALID[pipeline]))
    for _ in range(draw(st.integers(1, 3))):
        *above, key = draw(st.sampled_from(places(document)))
        section = document
        for part in above:
            section = section[part]
        what = draw(st.sampled_from(["replace", "replace", "remove", "rename", "add"]))
        if what == "replace" or isinstance(section, list):
            section[key] = draw(VALUES)
        elif what == "add":
            section[draw(st.text(LETTERS, max_size=50) | SCALARS)] = draw(VALUES)
        else:
            value = section.pop(key)
            if what == "rename":
                section[draw(st.text(LETTERS, max_size=50))] = value
        if not document:
            break
    style = {"default_flow_style": draw(st.sampled_from([None, True, False])), "allow_unicode": draw(st.booleans())}
    return pipeline, yaml.safe_dump(document, sort_keys=draw(st.booleans()), **style)


@st.composite
def plans(draw):
    """Other values that obey the rules, and variants of any number."""
    pipeline = draw(st.sampled_from(list(PIPELINES)))
    document = copy.deepcopy(yaml.safe_load(VALID[pipeline]))
    small = {"depth": st.integers(1, 50), "width": st.integers(64, 99), "seeds": st.integers(1, 9)}
    document |= {key: draw(values) for key, values in small.items()}
    template = draw(st.sampled_from(list(document["variants"].values())))
    names = draw(st.sets(st.from_regex(NAME, fullmatch=True), min_size=1, max_size=4))
    document["variants"] |= dict.fromkeys(names, template)  # an anchor and its aliases when dumped
    if "train" in document:
        document["train"]["lr"] = draw(st.floats(1e-300, 1000) | st.integers(1, 1000))
    if "data" in document:
        document["data"] |= {"path": draw(TEXTS), "revision": draw(st.none() | TEXTS)}
    style = {"default_flow_style": draw(st.sampled_from([None, True, False])), "allow_unicode": draw(st.booleans())}
    return pipeline, yaml.safe_dump(document, sort_keys=draw(st.booleans()), **style)


@st.composite
def changed_text(draw):
    """A valid file with tokens put in, and stretches of it removed or repeated."""
    pipeline = draw(st.sampled_from(list(PIPELINES)))
    text = VALID[pipeline]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.sampled_from([start, start, start + 1, start + 30]))
        text = text[:start] + draw(TOKENS | st.just(text[start:end] * 2)) + text[end:]
    return pipeline, text


@st.composite
def changed_scalars(draw):
    """A valid file with a value that is written plainly, without quotes, as a reader might misunderstand it."""
    pipeline = draw(st.sampled_from(list(PIPELINES)))
    lines = VALID[pipeline].splitlines()
    number = draw(st.sampled_from([n for n, line in enumerate(lines) if ": " in line and not line.startswith("#")]))
    lines[number] = f"{lines[number].partition(': ')[0]}: {draw(PLAIN)}"
    return pipeline, "\n".join(lines)


ANYTHING = st.tuples(
    st.sampled_from(list(PIPELINES)),
    st.one_of(
        st.text(max_size=200), VALUES.map(yaml.safe_dump), st.lists(TOKENS, max_size=30).map("".join), st.binary()
    ),
)


def test_any_document_is_a_plan_or_one_line(decide, campaign):
    codes = Counter()

    @settings(
        max_examples=2200 if campaign else 200,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(st.one_of(plans(), changed_values(), changed_scalars(), changed_text(), ANYTHING))
    def decided(document):
        pipeline, content = document
        content = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        codes[decide(pipeline, content).code] += 1

    decided()
    print(codes)
    assert min(codes[0], codes[2]) > sum(codes.values()) / 10, codes


@pytest.mark.parametrize("key", ["revision", "lr"])
def test_what_readers_of_yaml_may_take_for_different_things_is_the_same_to_dvc_or_refused(decide, key):
    codes = {
        decide(".", re.sub(rf"(?m)^( *{key}:) \S+", rf"\1 {text}", VALID["."]).encode()).code for text in LOOK_ALIKES
    }

    assert codes == {0, 2}


ROOT_TEXT = VALID["."]
LEVELS = range(1, 12)
# Small files that stand for a large document, large files, and what a careless reader takes long to understand.
BOMBS = {
    "aliases": "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in LEVELS),
    "merges": "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in LEVELS),
    "itself": "a: &a [*a]\n",
    "merged with itself": "a: &a {<<: *a}\n",
    "variants of aliases": "variants: &v {plain: *v}\n",
    "nested in brackets": "[" * 40_000,
    "nested in braces": "{a: " * 20_000,
    "nested in lines": "".join(f"{' ' * n}a:\n" for n in range(400)),
    "nested in dashes": "- " * 40_000,
    "ten megabytes of letters": "a" * 10**7,
    "ten megabytes of lines": "a: b\n" * (2 * 10**6),
    "ten megabytes of blanks": ROOT_TEXT + " " * 10**7,
    "ten megabytes of comments": ROOT_TEXT + "# a\n" * (10**7 // 4),
    "ten megabytes of digits": ROOT_TEXT.replace("depth: 20", f"depth: {'1' * 10**7}"),
    "ten megabytes of brackets": "[" * 10**7,
    "many keys": ROOT_TEXT + "".join(f"k{n}: 1\n" for n in range(8000)),
    "many variants": ROOT_TEXT.replace(
        "variants:  ", "variants:\n" + "".join(f"  v{n}: {{block: plain}}\n" for n in range(3000)) + "#"
    ),
    "many marks": "[" + "[],&a0 *a0 " * 4000,
    "short scalars": "[" + "1," * 45_000 + "]",
    "short mappings": "[" + "{}," * 30_000 + "]",
    "a long tag": f"depth: !<{'://' * 20_000}> 1\n",
    "a long name": f"depth: *{'a' * 60_000}\n",
    "a long key that stands twice": f"? {'a' * 30_000}\n: 1\n" * 2,
    "a long key": f"{'a' * 90_000}: 1\n",
    "a long question": f"? {'a' * 90_000}\n",
    "a long number": ROOT_TEXT.replace("depth: 20", f"depth: {'9' * 4000}"),
    "a longer number": ROOT_TEXT.replace("depth: 20", f"depth: {'9' * 80_000}"),
    "a large exponent": ROOT_TEXT.replace("lr: 0.1", "lr: 1e-999999999"),
    "a nested value": ROOT_TEXT.replace("depth: 20", f"depth: {'[' * 50}{']' * 50}"),
    "a wide value": ROOT_TEXT.replace("depth: 20", f"depth: {[[[[[['x'] * 4] * 4] * 4] * 4] * 4] * 4}"),
    "steps without end": VALID["studies/identity"].replace("[0, 1,", f"[{'0, ' * 25_000}"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_decided_on_as_soon(decide, name):
    pipeline = "studies/identity" if "steps" in name else "."

    decide(pipeline, BOMBS[name].encode())
