"""From a command's options to a client; from the client's errors to exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kubetune.api import InvalidJob
from kubetune.cli.errors import UserError
from kubetune.cli.offline import invalid
from kubetune.client import Client, ClientError, JobHandle

INTERRUPTED = 130


def client_of(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
    namespace: str | None = None,
    local: bool = False,
    state_dir: str = ".kubetune",
) -> Client:
    """Raises ClientError."""
    if not local:
        return Client(kubeconfig, context=context, namespace=namespace)
    if kubeconfig or context:
        raise UserError("--local is no cluster of a kubeconfig; leave out --kubeconfig and --context")
    if not Path(state_dir).is_dir():
        raise UserError(f"--state-dir {state_dir} does not exist; `kubetune run` makes it, or name the one that it made")
    return Client.local(state_dir, namespace=namespace or "default")


def typed(client: Client, job: JobHandle, namespace: str | None = None) -> str:
    """The job as it is typed after another command. `namespace`: what was said for this one, and has to be said again."""
    elsewhere = namespace is not None or job.namespace != client.namespace
    return f"{job} -n {job.namespace}" if elsewhere else str(job)


def exit_code(command: Callable[[], int], source: str = "job") -> int:
    """The command's, or that of its error, which is told."""
    try:
        return command()
    except InvalidJob as error:
        raise UserError(invalid(source, error)) from error
    except ClientError as error:
        raise UserError(str(error)) from error
    except KeyboardInterrupt:
        return INTERRUPTED
