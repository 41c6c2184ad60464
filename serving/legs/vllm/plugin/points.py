"""From points to prompts, and from what is pooled to probabilities."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from vllm.config import VllmConfig
from vllm.inputs import PromptType
from vllm.outputs import PoolingRequestOutput
from vllm.plugins.io_processors.interface import IOProcessor
from vllm.pooling_params import PoolingParams


class Processor(IOProcessor[Tensor, list[list[float]]]):
    """Points (rows, 2) in the units of the raw data in, probabilities (rows, 2) out."""

    def __init__(self, vllm_config: VllmConfig, renderer: Any) -> None:
        super().__init__(vllm_config, renderer)
        scaler = vllm_config.model_config.hf_config.scaler
        self.mean, self.scale = (torch.tensor(scaler[key], dtype=torch.float64) for key in ("mean", "scale"))
        self.rows = vllm_config.model_config.max_model_len - 1

    def parse_data(self, data: object) -> Tensor:
        """Points in float64.

        Raises:
            ValueError: It is something else; vLLM answers 400 with the message.
        """
        try:
            points = torch.tensor(data, dtype=torch.float64)
        except (OverflowError, RuntimeError, TypeError, ValueError):
            points = torch.empty(0)
        if points.ndim != 2 or points.shape[0] == 0 or points.shape[1] != 2 or not points.isfinite().all():
            raise ValueError("data: must be pairs of finite numbers")
        return points

    def merge_pooling_params(self, params: PoolingParams | None = None) -> PoolingParams:
        """Logits of each row, as the network has them."""
        return PoolingParams(task="token_classify", use_activation=False)

    def pre_process(self, prompt: Tensor, request_id: str | None = None, **kwargs: Any) -> Sequence[PromptType]:
        """Prompts whose embeddings are the standardised points, each as long as vLLM lets it be."""
        standardised = ((prompt - self.mean) / self.scale).float()
        return [{"prompt_embeds": rows} for rows in torch.split(standardised, self.rows)]

    def post_process(
        self, model_output: Sequence[PoolingRequestOutput[Any]], request_id: str | None = None, **kwargs: Any
    ) -> list[list[float]]:
        """Probabilities (rows, 2) of the logits of all prompts."""
        logits = torch.cat([one.outputs.data for one in model_output])
        probabilities: list[list[float]] = torch.softmax(logits.double(), dim=1).tolist()
        return probabilities
