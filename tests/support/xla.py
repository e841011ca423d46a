"""XLA's flag for the tests and for the commands that they start."""

# Compiling with little effort saves a sixth of the processor's time in tests that compile much. The
# commands have one device, as for a user, unless another flag says otherwise.
COMPILE_QUICKLY = "--xla_backend_optimization_level=0"
