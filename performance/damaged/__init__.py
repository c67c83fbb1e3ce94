"""Files of every format that is read: how one is written, how it is read, and by whom else."""

import os

# Where damage leads out of the range of 8 bits, libjpeg-turbo gives other values with the vector
# instructions of a processor than without. The other readers have none: so has none of them here.
os.environ["JSIMD_FORCENONE"] = "1"
