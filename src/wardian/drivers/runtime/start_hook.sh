#!/bin/sh
# liblxc runs this on the host when a container's init is about to start, at each boot and reboot.
# It tells the daemon the pid of init through a FIFO; opened for reading too, so that nothing blocks
# or fails while no daemon runs.
echo "$LXC_NAME $LXC_PID" 1<>"$1"
