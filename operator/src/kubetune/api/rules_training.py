"""Rules about what is trained: parameters that contradict each other, and policies that need one another."""

from __future__ import annotations

from kubetune.api.rule import Document, Finding, Rule, at, flag, text, when, whole


def sft_room_for_the_longest_sample(doc: Document) -> list[Finding]:
    room, longest = whole(doc, "spec.training.maxTokensPerGpu"), whole(doc, "spec.training.maxSeqLen")
    broken = room is not None and longest is not None and room < longest
    return when(broken, "spec.training.maxTokensPerGpu", room, f"{room} is less than maxSeqLen ({longest})")


def sft_leaves_a_checkpoint(doc: Document) -> list[Finding]:
    samples = at(doc, "spec.training.saveSamples")
    return when(
        flag(doc, "spec.training.checkpointAtEpoch") is False and samples in (None, 0), "spec.training.checkpointAtEpoch", False
    )


def osft_leaves_a_checkpoint(doc: Document) -> list[Finding]:
    final, epoch = flag(doc, "spec.training.saveFinalCheckpoint"), at(doc, "spec.training.checkpointAtEpoch")
    return when(final is False and epoch in (None, False), "spec.training.saveFinalCheckpoint", False)


def processed_agrees(doc: Document) -> list[Finding]:
    form, processed = text(doc, "spec.dataset.format"), flag(doc, "spec.training.useProcessedDataset")
    broken = form is not None and processed is not None and (form == "processed") != processed
    value = str(processed).lower()
    return when(broken, "spec.training.useProcessedDataset", processed, f"{value} contradicts dataset.format ({form})")


def full_state_agrees(doc: Document) -> list[Finding]:
    broken = flag(doc, "spec.training.accelerateFullStateAtEpoch") is False and flag(doc, "spec.checkpoint.everyEpoch") is True
    return when(broken, "spec.checkpoint.everyEpoch", True)


def delete_job_needs_ttl(doc: Document) -> list[Finding]:
    broken = flag(doc, "spec.runPolicy.deleteJob") is True and at(doc, "spec.runPolicy.ttlSecondsAfterFinished") is None
    return when(broken, "spec.runPolicy.deleteJob", True)


SFT = ("SFTJob",)
OSFT = ("OSFTJob",)

TRAINING_RULES = (
    Rule(
        name="sft-room-for-the-longest-sample",
        kinds=SFT,
        field="spec.training.maxTokensPerGpu",
        message="maxTokensPerGpu is less than maxSeqLen",
        remedy="the longest sample must fit on one GPU (instructlab-training's rule): raise maxTokensPerGpu or lower maxSeqLen",
        find=sft_room_for_the_longest_sample,
        cel="!has(self.training) || !has(self.training.maxTokensPerGpu) || !has(self.training.maxSeqLen)"
        " || self.training.maxTokensPerGpu >= self.training.maxSeqLen",
    ),
    Rule(
        name="sft-leaves-a-checkpoint",
        kinds=SFT,
        field="spec.training.checkpointAtEpoch",
        message="false, and saveSamples is 0: the run would end without a checkpoint",
        remedy="leave checkpointAtEpoch out or set saveSamples",
        find=sft_leaves_a_checkpoint,
        cel="!has(self.training) || !has(self.training.checkpointAtEpoch) || self.training.checkpointAtEpoch"
        " || (has(self.training.saveSamples) && self.training.saveSamples > 0)",
    ),
    Rule(
        name="osft-leaves-a-checkpoint",
        kinds=OSFT,
        field="spec.training.saveFinalCheckpoint",
        message="false, and checkpointAtEpoch is not set: the run would end without a checkpoint",
        remedy="leave saveFinalCheckpoint out or set checkpointAtEpoch: true",
        find=osft_leaves_a_checkpoint,
        cel="!has(self.training.saveFinalCheckpoint) || self.training.saveFinalCheckpoint"
        " || (has(self.training.checkpointAtEpoch) && self.training.checkpointAtEpoch)",
    ),
    Rule(
        name="processed-agrees",
        kinds=OSFT,
        field="spec.training.useProcessedDataset",
        message="contradicts dataset.format",
        remedy="set one of the two",
        find=processed_agrees,
        cel="!has(self.dataset.format) || !has(self.training.useProcessedDataset)"
        " || (self.dataset.format == 'processed') == self.training.useProcessedDataset",
        cel_message="(self.training.useProcessedDataset ? 'true' : 'false')"
        " + ' contradicts dataset.format (' + self.dataset.format + ')'",
    ),
    Rule(
        name="full-state-agrees",
        kinds=SFT,
        field="spec.checkpoint.everyEpoch",
        message="true, but training.accelerateFullStateAtEpoch is false: both say whether the full state is saved by epochs",
        remedy="set one of the two",
        find=full_state_agrees,
        cel="!has(self.training) || !has(self.training.accelerateFullStateAtEpoch) || self.training.accelerateFullStateAtEpoch"
        " || !has(self.checkpoint) || !has(self.checkpoint.everyEpoch) || !self.checkpoint.everyEpoch",
    ),
    Rule(
        name="delete-job-needs-ttl",
        field="spec.runPolicy.deleteJob",
        message="true, but ttlSecondsAfterFinished is not set: nothing says when",
        remedy="set ttlSecondsAfterFinished or leave deleteJob out",
        find=delete_job_needs_ttl,
        cel="!has(self.runPolicy) || !has(self.runPolicy.deleteJob) || !self.runPolicy.deleteJob"
        " || has(self.runPolicy.ttlSecondsAfterFinished)",
    ),
)
