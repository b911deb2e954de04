"""What can go wrong, as types. Each carries the class that the operator decides by."""

from __future__ import annotations

from kubetune_trainer.contract import FailureClass


class ConfigurationError(ValueError):
    """The caller must change something: names the field, its value and the remedy. Never retried (exit code 2)."""

    failure_class = FailureClass.USER_ERROR

    def __init__(self, field: str, value: object, problem: str, remedy: str) -> None:
        self.field, self.value, self.problem, self.remedy = field, value, problem, remedy
        super().__init__(f"{field}: {value!r} {problem}; {remedy}")


class DataError(ConfigurationError):
    """The data set must be changed (or the parameters that select from it)."""

    failure_class = FailureClass.DATA_ERROR


class TrainingError(RuntimeError):
    """Training was started and did not do what it should have."""

    def __init__(self, failure_class: FailureClass, message: str, *, log_tail: str | None = None) -> None:
        self.failure_class, self.log_tail = failure_class, log_tail
        super().__init__(message)
