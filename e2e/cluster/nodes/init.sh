# The first process of a node's namespaces: prepares mounts, then waits and reaps. With it everything in the node ends.
# $1: the node's folder
mount --make-rshared /
mkdir -p "$1/kubelet" /var/lib/kubelet /var/lib/cni
mount --bind "$1/kubelet" /var/lib/kubelet
for own in /run /var/log /var/lib/cni; do mount -t tmpfs tmpfs "$own"; done
mkdir /run/netns /run/lock
touch "$1/mounted"
while :; do sleep infinity & wait $!; done
