"""lora_sft on a real model by each of its roads (`make lora`)."""
