"""What a client sees through the proxy, over real connections."""

import pytest
import urllib3
from faulty_api import LOST, RESET, TORN, FaultyApi, behind_faults
from scripted_api import Answer, serve

from e2e.chaos.proxy import Fault, Kind

BODY = {"items": ["x" * 1000]}


def get(faulty: FaultyApi, path: str = "/api", method: str = "GET") -> urllib3.BaseHTTPResponse:
    return urllib3.PoolManager(retries=False).request(method, faulty.url + path, timeout=5)


def test_what_meets_no_fault_passes_as_it_is():
    with serve(Answer(201, BODY, {"X-Own": "1"})) as server, behind_faults(server.url, None) as faulty:
        answer = urllib3.PoolManager(retries=False).request(
            "POST", f"{faulty.url}/api/v1/pods?labelSelector=a%3Db%2Cc", json={"a": 1}, headers={"Authorization": "Bearer x"}
        )
    assert (answer.status, answer.json(), answer.headers["X-Own"]) == (201, BODY, "1")
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.query, asked.body) == ("POST", "/api/v1/pods", {"labelSelector": "a=b,c"}, {"a": 1})
    assert asked.headers["Authorization"] == "Bearer x"


@pytest.mark.parametrize(("fault", "reaches"), [(LOST, 1), (TORN, 1), (RESET, 0), (Fault(Kind.HANG, seconds=0.1), 0)])
def test_a_connection_that_breaks(fault: Fault, reaches: int):
    with serve(Answer(body=BODY), Answer(body=BODY)) as server, behind_faults(server.url, None) as faulty:
        faulty.meets("GET", fault)
        with pytest.raises(urllib3.exceptions.HTTPError):
            get(faulty)
        assert len(server.asked) == reaches
        assert get(faulty).json() == BODY, "the next one is served"


def test_an_answer_of_the_proxys_own_reads_as_an_api_servers():
    with serve() as server, behind_faults(server.url, None) as faulty:
        faulty.meets("GET", Fault(Kind.ANSWER, 429, {"Retry-After": "3"}))
        answer = get(faulty)
    assert (answer.status, answer.headers["Retry-After"], answer.json()["code"]) == (429, "3", 429)
    assert server.asked == []


def test_a_partition_lets_nothing_through_until_it_heals():
    with serve(Answer(body=BODY)) as server, behind_faults(server.url, None) as faulty:
        assert faulty.proxy is not None
        faulty.proxy.partition()
        with pytest.raises(urllib3.exceptions.HTTPError):
            get(faulty)
        faulty.proxy.heal()
        assert get(faulty).json() == BODY
    assert len(server.asked) == 1


def test_an_api_server_that_is_away_looks_like_a_broken_connection():
    with behind_faults("http://127.0.0.1:1", None) as faulty, pytest.raises(urllib3.exceptions.HTTPError):
        get(faulty)
