"""XLA's flags for the commands that tests start."""

# One device, as for a user, but compiled with less effort.
ONE_DEVICE = "--xla_backend_optimization_level=1"
