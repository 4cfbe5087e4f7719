#!/bin/sh
# Stands in for criu when lxc-checkpoint runs it, and completes what liblxc tells it: the control group in
# the hierarchies that liblxc does not name (the unified one of hosts that have both kinds), and the
# terminal that becomes the container's console. It may find what is watched by handle (watches.py).
group=
for word; do
    shift
    case $word in
    --force-irmap) continue ;;
    console:) word=console:$WARDIAN_CONSOLE ;;
    *:/*lxc.payload.*) group=${word#*:} ;;
    esac
    set -- "$@" "$word"
done
if [ -n "$group" ]; then
    set -- "$@" --cgroup-root "$group"
fi
exec "$WARDIAN_CRIU" "$@"
