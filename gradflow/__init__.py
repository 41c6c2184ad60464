"""What residual connections do to gradients: the library behind the stages of this pipeline."""

import sys

# Folders of code are dependencies of stages, also of studies, for which DVC cannot leave __pycache__ out: it would make
# them run again. Compiling these few modules anew takes a process less than a tenth of a second.
sys.dont_write_bytecode = True
