# Within the node's network namespace, once eth0 is there.
# $1: the node's address/prefix  $2: the control plane's address  $3: network of all pods; then pairs: a node's pods, its address
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
ip link set lo up
ip address add "$1" dev eth0
ip link set eth0 up
ip route add default via "$2"
iptables -w -t nat -A POSTROUTING -s "$3" ! -d "$3" -j MASQUERADE
shift 3
while [ $# -gt 0 ]; do ip route add "$1" via "$2"; shift 2; done
