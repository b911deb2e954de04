from e2e.cluster.nodes.network import Network, free_subnet, pod_subnet


def link(address: str, prefix: int) -> dict[str, object]:
    return {"addr_info": [{"local": address, "prefixlen": prefix}]}


def test_a_machine_without_such_addresses_gives_the_first_subnet():
    assert free_subnet([link("127.0.0.1", 8), {"addr_info": []}]) == "10.231.0.0/24"


def test_a_second_cluster_gets_the_next_one():
    assert free_subnet([link("10.231.0.1", 24)]) == "10.231.1.0/24"


def test_a_network_that_contains_several_is_kept_clear_of():
    assert free_subnet([link("10.231.2.7", 22)]) == "10.231.4.0/24"


def test_addresses_and_link_names_of_the_nodes_are_distinct_and_short_enough():
    network = Network("kt01234567", "10.231.4.0/24")
    assert (network.gateway, network.node_address(0), network.node_address(1)) == ("10.231.4.1", "10.231.4.10", "10.231.4.11")
    assert max(len(network.cable(index)) for index in range(16)) <= 15, "the kernel's limit"


def test_each_node_has_a_pod_network_of_its_own():
    assert [pod_subnet(index) for index in (0, 1)] == ["10.244.1.0/24", "10.244.2.0/24"]
