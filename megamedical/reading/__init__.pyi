from .contract import Part as Part
from .contract import Reader as Reader
from .images import read_label_values as read_label_values
from .images import read_scan as read_scan
from .images import read_volume as read_volume
