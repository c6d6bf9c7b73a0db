#!/bin/sh
# Run a command in a private network namespace that has loopback alone: Beam's job server listens on every interface.
# Where this machine allows no such namespace, the command runs as it is.
# In the namespace no connection gets one of the ports at which the engines and Beam's worker pool listen
# (engine_processes.py): the system hands out 32768 to 60999 by default, and 50000 was taken once.
namespace="unshare --map-root-user --net"
$namespace ip link set lo up 2>/dev/null || exec "$@"
ports="8081,8098,8099,50000"
reserved=/proc/sys/net/ipv4/ip_local_reserved_ports
exec $namespace sh -c "ip link set lo up && { echo $ports > $reserved || echo 'ports of the engines are not reserved' >&2; }; "'exec "$@"' sh "$@"
