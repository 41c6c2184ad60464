"""What a training shows on a terminal, and that it writes the same there as elsewhere."""

import math
import os
import pty
import re
import signal
import subprocess
import termios

import numpy as np
import pandas as pd
import pytest

TRAIN = ("python", "-m", "stages.train", "residual", "data/scaled/train.parquet", "data/scaled/val.parquet")
OUTPUTS = [f"residual.{end}" for end in ("parquet", "history.parquet", "probe.parquet", "boundary.parquet", "json")]


def on_a_terminal(project, width, written, stop=False, **env):
    """The pictures that a training draws on a terminal of that width, its exit code, and all that it writes there."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, width))
    environment = {name: value for name, value in project.env.items() if name != "COLUMNS"} | {"TERM": "xterm"} | env
    process = subprocess.Popen(
        [*TRAIN, written, written], cwd=project.root, env=environment, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 65536):
            shown += chunk
            if stop and b"validation" in shown:
                process.send_signal(signal.SIGINT)
                stop = False
    except OSError:  # Linux says so when the other end has closed
        pass
    os.close(leader)
    text = shown.decode().replace("\r\n", "\n")
    return re.split(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*", text), process.wait(), text


@pytest.mark.parametrize("width", [80, 40])
def test_losses_accuracy_and_gradients_by_layer_are_drawn_and_outputs_are_the_same(finished, tmp_path, width):
    drawn, code, _ = on_a_terminal(finished, width, tmp_path, NO_COLOR="1")
    assert code == 0
    assert (tmp_path / "residual.safetensors").read_bytes() == (
        finished.root / "models/residual.safetensors"
    ).read_bytes()
    for name in OUTPUTS:
        assert (tmp_path / name).read_bytes() == (finished.root / "logs" / name).read_bytes(), name
    last = drawn[-1]
    assert re.search(r"^residual [^\n]+ 2/2 0:00:00$", last, re.MULTILINE), last
    history = pd.read_parquet(tmp_path / "residual.history.parquet").query("epoch == 2").mean()
    words = " ".join(last.split())
    said = f"loss {history['train_loss']:.4g}; validation: loss {history['val_loss']:.4g}, "
    assert said + f"accuracy {history['val_accuracy']:.3f}; mean of 2 seeds" in words
    assert "gradient norm by layer on a log scale, median of seeds: input left, output right" in words
    assert all(len(line) <= width for line in last.splitlines())

    norms = pd.read_parquet(tmp_path / "residual.parquet").query("epoch == 2").groupby(["layer", "seed"])["grad_norm"]
    norms = np.log10(norms.mean().unstack().median(axis=1))
    low, high = math.floor(norms.min()), math.ceil(norms.max())
    rows = re.findall(r"^([ \de+-]+)┤(.*)$", last, re.MULTILINE)
    assert [label.strip() for label, _ in rows] == [f"1e{high:+03}", "", "", f"1e{low:+03}"]
    heights = [sum(" ▁▂▃▄▅▆▇█".index(bars.ljust(99)[3 * layer]) for _, bars in rows) for layer in range(5)]
    assert heights == pytest.approx([max(1, 32 * (norm - low) / (high - low)) for norm in norms], abs=0.51)


def test_ctrl_c_leaves_the_terminal_as_it_was(project, tmp_path):
    project.change({"train.epochs": 100_000})
    _, code, shown = on_a_terminal(project, 80, tmp_path, stop=True)
    assert code == 128 + signal.SIGINT
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is shown again"
    assert shown.splitlines()[-1].removeprefix("\x1b[?25h").startswith("gradflow: stopped by SIGINT: ")


def test_a_terminal_that_cannot_draw_gets_plain_lines(finished, tmp_path):
    _, _, shown = on_a_terminal(finished, 80, tmp_path, TERM="dumb")
    assert [line.split(",")[0] for line in shown.splitlines()] == ["residual: epoch 1/2", "residual: epoch 2/2"]
