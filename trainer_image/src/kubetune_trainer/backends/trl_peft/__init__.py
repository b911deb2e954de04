"""LoRA by peft and trl: the backend, and what runs on every rank."""
