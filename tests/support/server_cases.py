"""The table of cases against a real API server: `python tests/support/server_cases.py KUBECONFIG`. Says every disagreement.

Not part of the unit tests: it needs an API server that holds the CRDs of crds/, and leaves nothing in it.
tests/cluster/test_validation.py runs the same.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from cases import CASES, CHANGES, Case, Change
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from kubetune.api import GROUP, VERSION

NAMESPACE = "default"
STARTED = {"status": {"startTime": "2026-01-01T00:00:00Z", "specHash": "0" * 64}}


def plural(kind: str) -> str:
    return f"{kind.lower()}s"


def said(error: ApiException) -> str:
    return str(error.body)


def created(api: Any, document: dict[str, Any], namespace: str = NAMESPACE, **options: Any) -> str | None:
    """What the API server says against the document; None if it takes it."""
    try:
        api.create_namespaced_custom_object(
            GROUP, VERSION, namespace, plural(document["kind"]), document, field_validation="Strict", **options
        )
    except ApiException as error:
        return said(error)
    return None


def without_indices(path: str) -> str:
    return re.sub(r"\[.*", "", path)


def judge(api: Any, case: Case, namespace: str = NAMESPACE) -> str | None:
    """How the server's verdict differs from the table's; None if it does not."""
    answer = created(api, case.document(), namespace, dry_run="All")
    if case.where is None:
        return None if answer is None else f"refused: {answer}"
    if answer is None:
        return "accepted"
    parent = case.where.rsplit(".", 1)[0]
    named = without_indices(case.where) in answer or (case.where.rsplit(".", 1)[1] in answer and parent in answer)
    return None if named else f"refused without {case.where}: {answer}"


def judge_change(api: Any, change: Change, namespace: str = NAMESPACE) -> str | None:
    """The same for a change of a job that has started."""
    old, new = change.documents()
    kind, name = plural(old["kind"]), old["metadata"]["name"]
    refused = created(api, old, namespace)
    if refused:
        return f"not even created: {refused}"
    try:
        api.patch_namespaced_custom_object_status(GROUP, VERSION, namespace, kind, name, STARTED)
        stored = api.get_namespaced_custom_object(GROUP, VERSION, namespace, kind, name)
        api.replace_namespaced_custom_object(GROUP, VERSION, namespace, kind, name, {**stored, "spec": new["spec"]})
    except ApiException as error:
        answer = said(error)
        return None if change.refused and f"spec.{change.refused}" in answer else f"refused: {answer}"
    else:
        return f"accepted, but spec.{change.refused} changed" if change.refused else None
    finally:
        api.delete_namespaced_custom_object(GROUP, VERSION, namespace, kind, name)


def main(kubeconfig: str) -> int:
    config.load_kube_config(kubeconfig)
    api = client.CustomObjectsApi()
    verdicts = {case.name: judge(api, case) for case in CASES}
    verdicts |= {f"change-{change.name}": judge_change(api, change) for change in CHANGES}
    disagreements = {name: verdict for name, verdict in verdicts.items() if verdict}
    for name, verdict in disagreements.items():
        print(f"{name}: {verdict}\n")
    print(f"{len(verdicts)} cases, {len(disagreements)} disagreements")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
