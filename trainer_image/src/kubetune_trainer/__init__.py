"""Fine-tuning by instructlab-training and mini-trainer, with the truth about every run."""
