"""The network as a model of vLLM: tokens are rows, embeddings are standardised points, what is pooled are logits."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig
from vllm.config import VllmConfig
from vllm.model_executor.layers.pooler import DispatchPooler
from vllm.model_executor.layers.pooler.tokwise import pooler_for_token_classify
from vllm.model_executor.models.interfaces import IsAttentionFree

from gradflow.kit.building import build


class Config(PretrainedConfig):
    """config.json: ``network`` and ``scaler``; the sizes are those that vLLM asks of every model."""

    model_type = "gradflow"
    hidden_size = 2  # numbers of an embedding
    num_hidden_layers = 1
    num_attention_heads = 1
    vocab_size = 1
    max_position_embeddings = 1_000_000


class GradflowNetwork(nn.Module, IsAttentionFree):
    """A network, row by row."""

    is_pooling_model = True

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        config: Any = vllm_config.model_config.hf_config
        self.network = build(config.network)
        self.precision = torch.float16 if config.half else torch.float32
        self.pooler = DispatchPooler(
            {"token_classify": pooler_for_token_classify(vllm_config.model_config.pooler_config)}
        )

    def embed_input_ids(self, input_ids: Tensor) -> Tensor:
        """Embeddings (tokens, 2) of tokens, which no prompt has."""
        return torch.zeros(len(input_ids), 2)

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: object = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """Logits (tokens, 2) of standardised points (tokens, 2)."""
        points = self.embed_input_ids(positions) if inputs_embeds is None else inputs_embeds
        logits: Tensor = self.network(points.to(self.precision)).float()
        return logits

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        """Load weights that have a leading axis for one seed; returns their names as vLLM compares them."""
        found = {name: tensor[0] for name, tensor in weights}
        self.network.load_state_dict(found)
        self.network.to(self.precision)
        return {f"network.{name}" for name in found}
