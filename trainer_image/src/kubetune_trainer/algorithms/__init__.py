"""The algorithms that came after sft and osft (kubetune_trainer.api), one file each: class and parameters."""
