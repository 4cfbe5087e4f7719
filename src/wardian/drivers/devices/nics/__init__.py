"""Network interfaces of containers: how they are connected, bounded and guarded."""
