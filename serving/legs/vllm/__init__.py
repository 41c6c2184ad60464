"""vLLM: the network as a pooling model without attention, whose prompts are points."""
