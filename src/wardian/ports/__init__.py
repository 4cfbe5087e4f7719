"""The seams: what `core` asks of a host, and what drivers and stores provide.

Each port has one contract suite (tests/contracts/) that every implementation passes.
All methods that touch the host are coroutines; a driver moves blocking calls to a thread.
A driver turns OSError into errors.HostFailed (OutOfSpace for ENOSPC/EDQUOT) naming the thing.
"""
