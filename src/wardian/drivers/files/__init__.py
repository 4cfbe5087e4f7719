"""Files of containers: helper programs that enter one, and the pool of them."""
