"""What residual connections do to gradients: the library behind the stages of this pipeline."""

import sys

# Stages depend on folders of code. DVC cannot exclude __pycache__ from a folder outside its project, as the code is for
# studies, so Python must not write it: it would make stages run again. Compiling these few modules each time takes a
# process less than a tenth of a second.
sys.dont_write_bytecode = True
