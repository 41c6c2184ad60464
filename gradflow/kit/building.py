"""Networks by name: ``gradflow/networks/<name>.py`` holds one ``Network``."""

import importlib
from collections.abc import Mapping
from typing import Any

from gradflow.kit import mixing
from gradflow.kit.layers import Kit
from gradflow.kit.network import Network
from gradflow.kit.widths import of_streams


def build(configuration: Mapping[str, Any], kit: Kit | None = None) -> Network:
    """The network of a configuration.

    Args:
        configuration: Its ``network`` and ``block`` by name, ``settings`` of the block, ``depth``, ``width`` and,
            unless it is None, ``widths``; ``mixing`` where a rule mixes the streams of all blocks, see
            :func:`gradflow.kit.mixing.made`.
        kit: Makes its layers; None: a single network of ``torch.nn``'s layers.
    """
    kit = kit or Kit()
    make = importlib.import_module(f"gradflow.networks.{configuration['network']}").Network
    widths = of_streams(configuration["widths"] or [configuration["width"]], configuration["depth"])
    network: Network = make(kit, configuration["block"], configuration["settings"], widths)
    if chosen := configuration.get("mixing"):
        network.mixing = mixing.made(kit, chosen, network.blocks, widths[0])
    return network
