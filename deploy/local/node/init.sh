#!/bin/bash
# The first process of a node's own mount, network and process namespaces: it prepares them and becomes PAUSE, which
# waits and reaps. Whatever is made here is gone with it.
# Arguments: NODE_ADDRESS/BITS GATEWAY DNS_ADDRESS READY_FILE PAUSE
set -eu
address=$1 gateway=$2 dns=$3 ready=$4 pause=$5

mount -t tmpfs tmpfs /run
for directory in /var/lib /var/log; do # what is written there stays in memory; what is there can be read
    layer=/run/layers$directory
    mkdir -p "$layer/upper" "$layer/work"
    mount -t overlay overlay -o "lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work" "$directory"
done
mkdir -p /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods
mount --make-rshared / # for the volumes of Pods; the outside is not a peer

ip link set lo up
ip address add "$dns/32" dev lo
ip link add node0 type bridge
ip address add "$address" dev node0
ip link set node0 up
ip route add default via "$gateway" dev node0

touch "$ready"
exec "$pause"
