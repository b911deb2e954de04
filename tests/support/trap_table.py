"""The traps of the two backends, in the order of docs/traps.md. A test that shows one bears `@pytest.mark.trap("<its key>")`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trap:
    """A way in which a run goes wrong without a word, or with the wrong one."""

    key: str
    text: str
    unseen: str = ""  # why no test shows it on the raw backend, and what stands in for that


TRAPS = (
    Trap("no-torchrun", "`torchrun` is not on the `PATH`"),
    Trap("nodes-of-one", "SFT on nodes of one device each, with the backend's default sharding (HYBRID_SHARD)"),
    Trap("sigterm", "SIGTERM with on-demand checkpointing"),
    Trap("resume-mid-epoch", "The same call again, after a save within an epoch"),
    Trap("shared-output", "A second SFT run, with another learning rate, in the `ckpt_output_dir` of the first"),
    Trap("stray-state", "A name without a number in SFT's `full_state/`"),
    Trap("no-loss", "Every label is masked (SFT: no assistant turn; OSFT: labels of -100)"),
    Trap("too-long", "OSFT with `max_tokens_per_gpu` below the length of every sample"),
    Trap("no-checkpoint", "SFT with `checkpoint_at_epoch=False`, and `save_samples` 0 or no divisor of the samples"),
    Trap("tied", "OSFT on a model whose `lm_head` is its embedding"),
    Trap("validation-loss", "SFT's validation loss on several ranks"),
    Trap("ratio", "`osft_unfreeze_rank_ratio` beyond 1"),
    Trap("unknown-name", "A misspelt training argument"),
    Trap("missing-data", "OSFT with a data file that does not exist"),
    Trap("missing-node", "The second of two nodes never comes"),
    Trap("role", "A misspelt role in a conversation"),
    Trap("dropped", "Samples of fewer than 20 tokens, or of `max_seq_len` or more"),
    Trap("sigint", "SIGINT to the launcher alone (Ctrl-C of a wrapper, `kill -INT`)"),
    Trap("world-size", "OSFT resumed on another number of ranks"),
    Trap(
        "state-mark",
        "OSFT's full state: `training_state.pt` is written before the other ranks have written their shards",
        unseen="read from the source of `FullStateCheckpointer.save`: between file and barrier nothing can be held up from outside. "
        "Ours are written aside and renamed once every rank is done (`tests/unit/trainer/plugins/test_saving.py`)",
    ),
    Trap("data-race", "Each node's launcher tokenises into the same `data_output_dir`"),
    Trap("pod-environment", "Kubeflow's variables (`PET_RDZV_ENDPOINT`) beside the backend's own `master_addr`"),
    Trap("trigger-file", "Another job of the host makes the trigger file of on-demand checkpointing, which has one name for all"),
    Trap("uneven-ranks", "SFT without flash attention, whose ranks get unequally many mini-batches"),
    Trap("last-line", "The metrics' last line, written by a daemon thread"),
    Trap("computed-buffers", "Computed buffers (`rotary_emb.inv_freq`) in OSFT's checkpoints"),
    Trap("lora", "instructlab-training's own LoRA"),
    Trap(
        "first-rate",
        "mini-trainer's first step after a resume runs at the schedule's first learning rate",
        unseen="hidden by `resume-mid-epoch` (the raw backend trains no step then). Ours are bit-equal to the undisturbed run, rates "
        "included (`tests/unit/trainer/backends/test_real_runs.py`)",
    ),
    Trap(
        "accelerate-cpu",
        "`ACCELERATE_USE_CPU` as the switch for the CPU: DDP in DDP, and checkpoint keys that start with `module.`",
        unseen="seen once by hand, and not set here; a checkpoint with such keys is refused "
        "(`tests/unit/trainer/checkpoints/test_verify.py`)",
    ),
)

KEYS = tuple(trap.key for trap in TRAPS)
