"""What runs in vLLM. It is found through the entry points of the ``dist-info`` folder in this one."""


def register() -> None:
    """Make the architecture of the model folder known; vLLM calls this in each of its processes."""
    from transformers import AutoConfig
    from vllm import ModelRegistry

    from serving.legs.vllm.plugin.model import Config, GradflowNetwork

    AutoConfig.register("gradflow", Config, exist_ok=True)
    ModelRegistry.register_model("GradflowNetwork", GradflowNetwork)


def processor() -> str:
    """Where the class is that makes prompts of points."""
    return "serving.legs.vllm.plugin.points.Processor"
