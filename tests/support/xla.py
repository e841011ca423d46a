"""XLA's flags for the tests and for the commands that they start."""

import importlib.metadata

# Compiling takes most of the processor's time of many tests. Little effort saves a sixth of it, and
# to compile a program as a whole, not as 32 parts side by side, a quarter of the rest. The commands
# have one device, as for a user, unless another flag says otherwise.
COMPILE_QUICKLY = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
# The older emitters of fused loops compile in half the time. jaxlib 0.12 ends at this flag.
if importlib.metadata.version("jaxlib").startswith("0.10."):
    COMPILE_QUICKLY += " --xla_cpu_use_fusion_emitters=false"
