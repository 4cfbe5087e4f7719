#!/bin/sh
# liblxc runs this on the host when a container that was restored from its state has ended. Its monitor
# cannot boot it again, and has not asked how init ended: killed by SIGHUP if it wanted to reboot
# (reboot(2)), which proc_pid_stat(5) shows until the monitor is gone. The daemon is told through the
# FIFO, with pid 0.
read -r monitor <"${1%/*}/$LXC_NAME/monitor.pid" || exit 0
for pid in $(cat "/proc/$monitor/task/$monitor/children"); do
    fields=$(cat "/proc/$pid/stat") || continue
    # shellcheck disable=SC2086
    set -- "$1" ${fields##*) }
    if [ "$2" = Z ] && [ "${51}" = 1 ]; then
        echo "$LXC_NAME 0" 1<>"$1"
    fi
done
